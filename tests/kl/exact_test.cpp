#include <cmath>
#include <span>
#include <vector>

#include <coho/kl/estimators.hpp>
#include <coho/kl/exact.hpp>
#include <coho/kl/kl_loss.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::exact_kl;

namespace {

// log softmax of each column; −inf stays.
Eigen::ArrayXXd log_softmax(const Eigen::ArrayXXd& logits) {
  Eigen::ArrayXXd out = logits;
  for (Eigen::Index t = 0; t < out.cols(); ++t) {
    double sum = 0;
    for (Eigen::Index v = 0; v < out.rows(); ++v) sum += std::exp(out(v, t));
    out.col(t) -= std::log(sum);
  }
  return out;
}
Eigen::ArrayXXd table(const Eigen::ArrayXd& numbers, Eigen::Index vocabulary) {
  return Eigen::Map<const Eigen::ArrayXXd>(numbers.data(), vocabulary, numbers.size() / vocabulary);
}
Eigen::ArrayXXd distributions(Eigen::Index vocabulary, Eigen::Index tokens, std::uint64_t seed) {
  return log_softmax(table(normals(vocabulary * tokens, seed, 1.5), vocabulary));
}
coho::token_weights<Eigen::ArrayXd> weights_of(std::initializer_list<double> numbers) { return {array(numbers)}; }

}  // namespace

TEST_CASE("the exact KL of two distributions by hand") {
  const Eigen::ArrayXd p = array({0.5, 0.5}), q = array({0.25, 0.75});
  const double expected = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3);
  const Eigen::ArrayXd kl = exact_kl(p.log(), q.log());
  REQUIRE(kl.size() == 1);
  CHECK(kl[0] == Approx(expected));
  const auto [value, d_logits] = exact_kl.value_and_grad(p.log(), q.log(), weights_of({2}));
  CHECK(value == Approx(2 * expected));
  REQUIRE(d_logits.rows() == 2);
  CHECK(d_logits(0, 0) == Approx(0.5 * std::log(3.0)));  // 2·½·(ln 2 − KL), KL = ln 2 − ½ ln 3
  CHECK(d_logits(1, 0) == Approx(-0.5 * std::log(3.0)));
}

TEMPLATE_TEST_CASE("the exact KL of flat ranges is that of the table", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const Eigen::ArrayXXd p = distributions(5, 3, 1), q = distributions(5, 3, 2);
  using number = typename TestType::value_type;
  TestType flat_p(15), flat_q(15);
  for (int i = 0; i < 15; ++i) {
    flat_p[i] = static_cast<number>(p.data()[i]);
    flat_q[i] = static_cast<number>(q.data()[i]);
  }
  const auto kl = exact_kl(flat_p, flat_q, 5);
  STATIC_REQUIRE(std::is_same_v<typename decltype(kl)::Scalar, number>);
  const Eigen::ArrayXd expected = exact_kl(p, q);
  REQUIRE(kl.size() == 3);
  const auto result = exact_kl.value_and_grad(flat_p, flat_q, 5, weights_of({1, 0.5, 2}));
  const auto whole = exact_kl.value_and_grad(p, q, weights_of({1, 0.5, 2}));
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_logits)::Scalar, number>);
  CHECK(result.value == Approx(whole.value).epsilon(1e-5));
  CHECK(result.value == Approx(expected[0] + 0.5 * expected[1] + 2 * expected[2]).epsilon(1e-5));
  for (int t = 0; t < 3; ++t) CHECK(kl[t] == Approx(expected[t]).epsilon(1e-5));
  for (int i = 0; i < 15; ++i) CHECK(result.d_logits[i] == Approx(whole.d_logits.data()[i]).margin(1e-6));
}

TEST_CASE("the exact KL takes expressions, blocks and row-major tables") {
  const Eigen::ArrayXXd p = distributions(4, 6, 1), q = distributions(4, 6, 2);
  const Eigen::ArrayXd all = exact_kl(p, q);
  const Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = p;
  CHECK(exact_kl(rows, q + 0.0).isApprox(all));
  CHECK(exact_kl(p.middleCols(2, 3), q.middleCols(2, 3)).isApprox(all.segment(2, 3)));
  CHECK(exact_kl(p.matrix(), q.matrix()).isApprox(all));
  CHECK(exact_kl(std::span<const double>(p.data(), 24), std::span<const double>(q.data(), 24), 4).isApprox(all));
}

TEST_CASE("the exact KL is never negative, and 0 only for equal distributions") {
  const Eigen::ArrayXXd p = distributions(7, 500, 1), q = distributions(7, 500, 2);
  CHECK((exact_kl(p, q) > 0.0).all());
  CHECK((exact_kl(p, p) == 0.0).all());
  const auto same = exact_kl.value_and_grad(p, p, coho::token_weights<Eigen::ArrayXd>{Eigen::ArrayXd::Ones(500)});
  CHECK((same.d_logits == 0.0).all());
  // Close distributions: half the χ² distance, to leading order.
  const Eigen::ArrayXXd near = log_softmax(p + 1e-3 * q);
  const Eigen::ArrayXd chi = ((near - p).square() * p.exp()).colwise().sum().transpose();
  CHECK(exact_kl(p, near).isApprox(0.5 * chi, 1e-2));
}

TEST_CASE("the exact KL is the expectation of k1 and of k3, and its gradient that of k2's gradient") {
  const Eigen::ArrayXXd p = distributions(6, 4, 1), q = distributions(6, 4, 2);
  const auto result = exact_kl.value_and_grad(p, q, weights_of({1, 1, 1, 1}));
  const Eigen::ArrayXd exact = exact_kl(p, q);
  for (Eigen::Index t = 0; t < 4; ++t) {
    const Eigen::ArrayXd log_p = p.col(t), log_q = q.col(t), probability = log_p.exp();
    using enum coho::kl_estimator;
    for (const auto estimator : {k1, k3}) {
      CHECK((probability * coho::kl_estimate(log_p, log_q, estimator)).sum() == Approx(exact[t]).epsilon(1e-12));
    }
    // Of a sampled y, d log p_y/dz_v = 1[y = v] − p_v.
    Eigen::ArrayXd gradient = Eigen::ArrayXd::Zero(6), wrong = gradient;
    for (Eigen::Index y = 0; y < 6; ++y) {
      const auto slope = [&](coho::kl_estimator estimator) {
        return coho::kl_loss{{.estimator = estimator}}
            .value_and_grad(
                {.log_probs = array({log_p[y]}), .reference_log_probs = array({log_q[y]}), .weights = weights_of({1})})
            .d_log_probs[0];
      };
      Eigen::ArrayXd score = -probability;
      score[y] += 1;
      gradient += probability[y] * slope(k2) * score;
      wrong += probability[y] * slope(k1) * score;
    }
    CHECK(gradient.isApprox(result.d_logits.col(t), 1e-12));
    CHECK(wrong.abs().maxCoeff() < 1e-12);  // k1 as a loss has no gradient in expectation
  }
}

TEST_CASE("the gradient of the exact KL agrees with central differences") {
  const Eigen::ArrayXd logits = normals(15, 1);
  const Eigen::ArrayXXd q = distributions(5, 3, 2);
  const auto weights = weights_of({0.5, 0, 2});
  const auto result = exact_kl.value_and_grad(log_softmax(table(logits, 5)), q, weights);
  CHECK((result.d_logits.col(1) == 0.0).all());
  CHECK((result.d_logits.colwise().sum().abs() < 1e-12).all());  // shifting the logits changes nothing
  check_gradient(logits, Eigen::Map<const Eigen::ArrayXd>(result.d_logits.data(), 15), [&](const Eigen::ArrayXd& x) {
    return exact_kl.value_and_grad(log_softmax(table(x, 5)), q, weights).value;
  });
}

TEST_CASE("banned tokens add nothing to the exact KL") {
  Eigen::ArrayXXd z = table(normals(10, 1), 5), y = table(normals(10, 2), 5);
  z.row(2) = -infinity;
  y.row(2) = -infinity;
  const Eigen::ArrayXXd p = log_softmax(z), q = log_softmax(y);
  Eigen::ArrayXXd short_p(4, 2), short_q(4, 2);
  short_p << p.topRows(2), p.bottomRows(2);
  short_q << q.topRows(2), q.bottomRows(2);
  CHECK(exact_kl(p, q).isApprox(exact_kl(short_p, short_q)));
  const auto result = exact_kl.value_and_grad(p, q, weights_of({1, 1}));
  CHECK((result.d_logits.row(2) == 0.0).all());
  CHECK(result.d_logits.isFinite().all());
  // Banned in the policy alone: 0·log 0 = 0 as well.
  const Eigen::ArrayXXd open = distributions(5, 2, 2);
  CHECK(exact_kl(p, open).isFinite().all());
  CHECK((exact_kl(p, open) > 0.0).all());
}

TEST_CASE("banned in the reference alone is an error that names the row, and so is NaN") {
  const Eigen::ArrayXXd p = distributions(4, 3, 1);
  Eigen::ArrayXXd q = distributions(4, 3, 2);
  q(1, 2) = -infinity;
  CHECK_THROWS_AS(exact_kl(p, q), coho::argument_error);
  CHECK_THROWS_WITH(exact_kl(p, q), ContainsSubstring("row 2"));
  CHECK_THROWS_WITH(exact_kl.value_and_grad(p, q, weights_of({1, 1, 1})), ContainsSubstring("row 2"));
  q(1, 2) = not_a_number;
  CHECK_THROWS_WITH(exact_kl(p, q), ContainsSubstring("row 2"));
  Eigen::ArrayXXd broken = p;
  broken(0, 1) = not_a_number;
  CHECK_THROWS_WITH(exact_kl(broken, p), ContainsSubstring("row 1"));
}

TEST_CASE("mistake 9: rows of weight 0 are not read by the exact KL") {
  Eigen::ArrayXXd p = distributions(4, 3, 1), q = distributions(4, 3, 2);
  const double expected = 0.5 * exact_kl(p, q)[0];
  p.col(1).setConstant(not_a_number);
  q.col(2).setConstant(-infinity);
  const auto result = exact_kl.value_and_grad(p, q, weights_of({0.5, 0, 0}));
  CHECK(result.value == Approx(expected));
  CHECK((result.d_logits.rightCols(2) == 0.0).all());
}

TEST_CASE("the exact KL: empty tables and sizes that do not fit") {
  CHECK(exact_kl(Eigen::ArrayXXd(5, 0), Eigen::ArrayXXd(5, 0)).size() == 0);
  CHECK(exact_kl(std::vector<double>{}, std::vector<double>{}, 5).size() == 0);
  const coho::token_weights<Eigen::ArrayXd> none;
  CHECK(exact_kl.value_and_grad(Eigen::ArrayXXd(5, 0), Eigen::ArrayXXd(5, 0), none).value == 0);
  const Eigen::ArrayXXd p = distributions(4, 3, 1);
  const std::vector<double> flat(12, std::log(0.25));
  CHECK_THROWS_AS(exact_kl(p, p.topRows(3)), coho::argument_error);
  CHECK_THROWS_WITH(exact_kl(p, p.leftCols(2)), ContainsSubstring("reference_log_probs is 4 × 2"));
  CHECK_THROWS_WITH(exact_kl.value_and_grad(p, p, weights_of({1})), ContainsSubstring("weights"));
  CHECK_THROWS_WITH(exact_kl(flat, flat, 5), ContainsSubstring("vocabulary size 5"));
  CHECK_THROWS_AS(exact_kl(flat, flat, 0), coho::argument_error);
}
