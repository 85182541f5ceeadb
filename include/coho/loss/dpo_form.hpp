#pragma once

#include <array>

namespace coho::inline v0_1 {

// GCC 12 warns that this scoped enumerator hides `coho::sigmoid`. It does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// The forms of direct preference optimisation, of z = β·(log-ratio of the chosen response − that of the rejected one):
enum class dpo_form {
  sigmoid,  ///< −log σ(z) (Rafailov et al. 2023, eq. 7)
  hinge,    ///< max(0, 1 − z) (Zhao et al. 2023, SLiC-HF)
  ipo,      ///< (z/β − 1/(2β))² (Azar et al. 2024, eq. 17), β its τ; TRL gives it length-averaged log-probs
  conservative,  ///< −(1 − ε)·log σ(z) − ε·log σ(−z): labels are wrong with probability ε (Mitchell 2023, cDPO)
  robust,  ///< (−(1 − ε)·log σ(z) + ε·log σ(−z)) / (1 − 2ε): unbiased under that noise (Chowdhury et al. 2024, rDPO)
};
#pragma GCC diagnostic pop
constexpr auto option_names(dpo_form) { return std::array{"sigmoid", "hinge", "ipo", "conservative", "robust"}; }

}  // namespace coho::inline v0_1
