#pragma once

namespace coho::trainer {

/// How the seven linears of every block are held. Embedding, head and norms are held in the compute type always.
enum class base_storage { float32, bfloat16, nf4, nf4_double };
enum class compute_type { float32, bfloat16 };

}  // namespace coho::trainer
