#pragma once

/// Marks a function to be compiled for several instruction sets; the best one is selected when the program is loaded: a
/// default build runs on any x86-64 and still uses wide vectors if the machine has them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define COHO_MULTIVERSION __attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3")))
#else
#define COHO_MULTIVERSION
#endif
