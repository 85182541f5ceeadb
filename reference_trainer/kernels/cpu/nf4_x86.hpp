#pragma once

#include "kernels/cpu/nf4_kernels.hpp"

// The wide NF4 kernels are compiled for their instruction sets in nf4_x86.cpp, whatever the rest is compiled for.
#if defined(__x86_64__) && defined(__GNUC__)
#define COHO_NF4_X86
#endif

namespace coho::trainer::cpu {

#ifdef COHO_NF4_X86
extern const nf4_kernels nf4_avx2_kernels;    // needs AVX2 and FMA
extern const nf4_kernels nf4_avx512_kernels;  // also needs AVX-512F
#endif

}  // namespace coho::trainer::cpu
