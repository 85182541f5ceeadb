#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <zstd.h>

#include <zlib.h>

namespace coho::test {

/// One frame of zstd, with a checksum at its end.
inline std::string pack_zstd(std::string_view content) {
  std::string out(::ZSTD_compressBound(content.size()), '\0');
  ZSTD_CCtx* context = ::ZSTD_createCCtx();
  ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const auto size = ::ZSTD_compress2(context, out.data(), out.size(), content.data(), content.size());
  ::ZSTD_freeCCtx(context);
  if (::ZSTD_isError(size) != 0) throw std::runtime_error(::ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

/// One gzip member.
inline std::string pack_gzip(std::string_view content) {
  z_stream packer{};
  if (::deflateInit2(&packer, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  std::string out(::deflateBound(&packer, content.size()) + 64, '\0');
  packer.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  packer.avail_in = static_cast<uInt>(content.size());
  packer.next_out = reinterpret_cast<Bytef*>(out.data());
  packer.avail_out = static_cast<uInt>(out.size());
  ::deflate(&packer, Z_FINISH);
  out.resize(packer.total_out);
  ::deflateEnd(&packer);
  return out;
}

}  // namespace coho::test
