#include "kernels/cpu/decoder_kernels.hpp"

#include <cmath>

#include "kernels/cpu/multiversion.hpp"

namespace coho::trainer::cpu {
namespace {

constexpr std::int64_t lanes = 16;

// Fixed lanes let the sum vectorise without -ffast-math and make it the same for any vector width.
#define COHO_LANE_SUM(result, expression)                                      \
  float result = 0;                                                            \
  {                                                                            \
    float lane[lanes] = {};                                                    \
    std::int64_t i = 0;                                                        \
    for (; i + lanes <= width; i += lanes)                                     \
      for (std::int64_t j = 0; j < lanes; ++j) lane[j] += expression(i + j);   \
    for (std::int64_t j = 0; i + j < width; ++j) lane[j] += expression(i + j); \
    for (std::int64_t step = lanes / 2; step > 0; step /= 2)                   \
      for (std::int64_t j = 0; j < step; ++j) lane[j] += lane[j + step];       \
    result = lane[0];                                                          \
  }

}  // namespace

COHO_MULTIVERSION void rms_norm_forward(const rms_norm_rows& rows_in, float epsilon, float* y, float* r) {
  const float* const w = rows_in.w;
  const std::int64_t width = rows_in.width;
  for (std::int64_t row = 0; row < rows_in.rows; ++row) {
    const float* in = rows_in.x + row * width;
    float* out = y + row * width;
#define COHO_TERM(k) (in[k] * in[k])
    COHO_LANE_SUM(squares, COHO_TERM)
#undef COHO_TERM
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(width) + epsilon);
    r[row] = scale;
    for (std::int64_t k = 0; k < width; ++k) out[k] = (in[k] * scale) * w[k];
  }
}

COHO_MULTIVERSION void rms_norm_backward(const rms_norm_rows& rows_in, const float* r, const float* g, float* dx,
                                         float* dw) {
  const float* const w = rows_in.w;
  const std::int64_t width = rows_in.width;
  for (std::int64_t row = 0; row < rows_in.rows; ++row) {
    const float* in = rows_in.x + row * width;
    const float* grad = g + row * width;
    float* out = dx + row * width;
    const float scale = r[row];
#define COHO_TERM(k) (grad[k] * w[k] * in[k])
    COHO_LANE_SUM(dot, COHO_TERM)
#undef COHO_TERM
    const float shift = dot * scale * scale * scale / static_cast<float>(width);
    for (std::int64_t k = 0; k < width; ++k) {
      out[k] = scale * grad[k] * w[k] - in[k] * shift;
      dw[k] += grad[k] * in[k] * scale;
    }
  }
}

COHO_MULTIVERSION void apply_rope(const rope_rows& rows_in, float direction) {
  const auto [x, x_stride, cos, sin, y, rows, heads, depth] = rows_in;
  const std::int64_t half = depth / 2;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* c = cos + row * half;
    const float* s = sin + row * half;
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* in = x + row * x_stride + head * depth;
      float* out = y + (row * heads + head) * depth;
      for (std::int64_t k = 0; k < half; ++k) {
        const float a = in[k], b = in[k + half], turn = direction * s[k];
        out[k] = a * c[k] - b * turn;
        out[k + half] = b * c[k] + a * turn;
      }
    }
  }
}

}  // namespace coho::trainer::cpu
