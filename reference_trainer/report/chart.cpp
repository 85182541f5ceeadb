#include "report/chart.hpp"

#include <algorithm>
#include <cmath>

#include "text/utf8.hpp"

namespace coho::trainer {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : repair_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
          out += "�";
        } else {
          out += c;
        }
      }
    }
  }
  return out;
}

std::vector<double> axis_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  const double magnitude = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * magnitude;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * magnitude >= rough * (1 - 1e-9)) {
      step = factor * magnitude;
      break;
    }
  }
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (double k = first; k <= last + 0.5; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string_view chart_style() {
  // Eight colours that differ for the colour-blind too (CIE76 distances of at least 15 under protanopia, deuteranopia
  // and tritanopia simulated as Machado et al. 2009 do), each at least 3:1 against its ground.
  return R"(.chart { --s0:#2a78d6; --s1:#d9541e; --s2:#26a575; --s3:#710841; --s4:#2d20a6; --s5:#603a15; --s6:#b57fb4; --s7:#f61f56;
  --ink:#1d1d1b; --muted:#5f5e58; --grid:#e6e5e0; --axis:#a8a79f; --surface:#fff; margin:0; }
@media (prefers-color-scheme: dark) { .chart { --s0:#5b9df0; --s1:#f07b48; --s2:#4cfdd8; --s3:#fadb12; --s4:#bd5a86; --s5:#d6ec9b;
  --s6:#53cde6; --s7:#3b6cf6; --ink:#f1f0ec; --muted:#b3b2aa; --grid:#34343a; --axis:#6c6c73; --surface:#1d1e22; } }
.chart figcaption { margin:0 0 .4rem; } .chart figcaption strong { display:block; font-weight:600; }
.chart figcaption span { display:block; color:var(--muted); font-size:.875rem; }
.chart svg { display:block; width:100%; height:auto; font:12px system-ui, sans-serif; }
.chart .ink { fill:var(--ink); } .chart .muted { fill:var(--muted); } .chart .value { fill:var(--ink); font-size:11px; }
.chart .halo { paint-order:stroke; stroke:var(--surface); stroke-width:3px; stroke-linejoin:round; }
.chart .grid { stroke:var(--grid); } .chart .axis { stroke:var(--axis); } .chart .reference { stroke:var(--muted); stroke-dasharray:5 4; }
.chart .stroke { fill:none; stroke:var(--c); stroke-width:2; stroke-linejoin:round; stroke-linecap:round; }
.chart .raw { stroke-width:1; opacity:.35; } .chart .raw.crowded { opacity:.2; }
.chart .d1 { stroke-dasharray:7 5; } .chart .d2 { stroke-dasharray:1 4; } .chart .d3 { stroke-dasharray:10 4 1 4; }
.chart .dot { fill:var(--c); stroke:var(--surface); stroke-width:2; } .chart .fill { fill:var(--c); }
.chart .s0 { --c:var(--s0); } .chart .s1 { --c:var(--s1); } .chart .s2 { --c:var(--s2); } .chart .s3 { --c:var(--s3); }
.chart .s4 { --c:var(--s4); } .chart .s5 { --c:var(--s5); } .chart .s6 { --c:var(--s6); } .chart .s7 { --c:var(--s7); }
)";
}

}  // namespace coho::trainer
