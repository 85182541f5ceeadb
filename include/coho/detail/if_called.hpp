#pragma once

namespace coho::inline v0_1::detail {

/// `template <class = detail::if_called>` makes a function a template, and a template is only compiled where it is
/// called. A file that includes coho.hpp compiles in two thirds of the time for it.
struct if_called;

}  // namespace coho::inline v0_1::detail
