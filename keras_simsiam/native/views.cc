// Random views on the CPU, one at a time in its cache: what keras_simsiam/augment does with batches
// in TensorFlow, with the same parameters. `python -m keras_simsiam.native` compiles this file.
//
// Three operations:
//   KerasSimsiamUniforms  the random numbers of each example, those of tf.random.stateless_uniform
//   KerasSimsiamCrops     the crops of one decoded image, those of tf.image.resize
//   KerasSimsiamViews     a view of each image of a batch
//
// It is compiled without contraction of products and sums (-ffp-contract=off) and sums in a fixed
// order, so a view depends neither on its batch, nor on threads, nor on the width of the processor's
// vectors. Loops over pixels are written for the compiler to vectorize.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/random/philox_random.h"
#include "tensorflow/core/util/work_sharder.h"

namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));

// At any address, aligned or not.
template <typename V>
inline V load(const float* at) {
  V value;
  std::memcpy(&value, at, sizeof(V));
  return value;
}

template <typename V>
inline void store(float* at, const V& value) {
  std::memcpy(at, &value, sizeof(V));
}

inline float clip(float v) { return v < 0.0f ? 0.0f : (v > 1.0f ? 1.0f : v); }

// ---------------------------------------------------------------------------------------------
// Resizing, with Pillow's antialiased bilinear filter.

// Source pixels and weights of each target pixel along one axis.
struct Taps {
  int count = 0;               // weights of each target pixel; those that are not needed are 0
  std::vector<int> first;      // source pixel of the first weight
  std::vector<float> weights;  // [size][count]

  void reset(int size, int most) {
    count = most;
    first.assign(size, 0);
    weights.assign(size_t(size) * most, 0.0f);
  }

  // Drops weights that are 0 for all target pixels.
  void tighten() {
    const int size = first.size();
    int needed = 1;
    for (int i = 0; i < size; ++i) {
      float* w = &weights[size_t(i) * count];
      int skip = 0;
      while (skip + 1 < count && w[skip] == 0.0f) ++skip;
      if (skip) {
        std::memmove(w, w + skip, (count - skip) * sizeof(float));
        std::fill(w + count - skip, w + count, 0.0f);
        first[i] += skip;
      }
      int used = count;
      while (used > 1 && w[used - 1] == 0.0f) --used;
      needed = std::max(needed, used);
    }
    for (int i = 0; i < size; ++i)
      std::memmove(&weights[size_t(i) * needed], &weights[size_t(i) * count],
                   needed * sizeof(float));
    count = needed;
  }
};

// The rule of augment/crop.py: a crop from `start`, `length` pixels long.
void taps_of_views(float start, float length, int size, bool reverse, Taps* taps) {
  const float scale = length / size;
  const float reach = std::max(scale, 1.0f);
  taps->reset(size, int(std::ceil(2 * reach)) + 1);
  for (int i = 0; i < size; ++i) {
    // Rounded once, as the compiler of the TensorFlow version does.
    const float center = std::fma(i + 0.5f, scale, start);
    const int from = std::max(int(std::ceil(center - 0.5f - reach)), int(start));
    const int end = int(start) + int(length);
    const int at = reverse ? size - 1 - i : i;
    float* w = &taps->weights[size_t(at) * taps->count];
    float sum = 0.0f;
    for (int k = 0; k < taps->count && from + k < end; ++k) {
      w[k] = std::max(0.0f, 1.0f - std::fabs(from + k + 0.5f - center) / reach);
      sum += w[k];
    }
    for (int k = 0; k < taps->count; ++k) w[k] /= sum;
    taps->first[at] = from;
  }
  taps->tighten();
}

// The rule of tf.image.resize(..., antialias=True), number by number: its kernel ScaleAndTranslate.
void taps_of_tensorflow(int length, int size, Taps* taps) {
  const float given = float(size) / float(length);
  const float scale = 1.0 / given;
  const float reach = std::max(scale, 1.0f);
  const float inverse_reach = 1.0f / reach;
  taps->reset(size, 2 * int(std::ceil(reach)) + 1);
  for (int i = 0; i < size; ++i) {
    const float center = (i + 0.5f) * scale;
    if (center > length) continue;
    int from = std::ceil(center - reach - 0.5f), last = std::floor(center + reach - 0.5f);
    from = std::min(std::max(from, 0), length - 1);
    last = std::min(std::max(last, 0), length - 1);
    float* w = &taps->weights[size_t(i) * taps->count];
    float sum = 0.0f;
    for (int j = from; j <= last; ++j) {
      const float x = std::fabs((j + 0.5f - center) * inverse_reach);
      w[j - from] = x < 1.0f ? 1.0f - x : 0.0f;
      sum += w[j - from];
    }
    if (sum > 0.0f) {
      const float inverse = 1.0f / sum;
      for (int k = 0; k < taps->count; ++k) w[k] *= inverse;
    }
    taps->first[i] = from;
  }
  taps->tighten();
}

// sum = weights · rows, or sum += weights · rows, in the order of the rows.
template <int N, bool kAdd>
void add_rows(const uint8_t* __restrict__ rows, int64_t stride, const float* weights, int n,
              float* __restrict__ sum) {
  float w[N];
  for (int k = 0; k < N; ++k) w[k] = weights[k];
  for (int i = 0; i < n; ++i) {
    float s = w[0] * float(rows[i]);
    if (kAdd) s += sum[i];
    for (int k = 1; k < N; ++k) s += w[k] * float(rows[k * stride + i]);
    sum[i] = s;
  }
}

template <bool kAdd>
void add_rows(int count, const uint8_t* rows, int64_t stride, const float* w, int n, float* sum) {
  switch (count) {
    case 1: return add_rows<1, kAdd>(rows, stride, w, n, sum);
    case 2: return add_rows<2, kAdd>(rows, stride, w, n, sum);
    case 3: return add_rows<3, kAdd>(rows, stride, w, n, sum);
    default: return add_rows<4, kAdd>(rows, stride, w, n, sum);
  }
}

// A row of `size` pixels from a row of the source; four lanes, of which the last is overwritten by
// the next pixel.
template <int N>
void resize_row(const float* row, const Taps& taps, int size, float* out) {
  const int count = N ? N : taps.count;
  const float* w = taps.weights.data();
  const int* first = taps.first.data();
  for (int x = 0; x < size; ++x, w += count) {
    const float* p = row + 3 * first[x];
    Four sum = w[0] * load<Four>(p);
    for (int k = 1; k < count; ++k) sum += w[k] * load<Four>(p + 3 * k);
    store(out + 3 * x, sum);
  }
}

// Resizes a crop, one row of the result at a time.
class Resizer {
 public:
  Taps rows, columns;  // to be filled; their pixels are those of the image

  // Say which image they are of, uint8 [height, width, 3].
  void start(const uint8_t* image, int height, int width) {
    image_ = image;
    height_ = height;
    stride_ = int64_t(width) * 3;
    left_ = width;
    int right = 0;
    for (size_t x = 0; x < columns.first.size(); ++x) {
      left_ = std::min(left_, columns.first[x]);
      right = std::max(right, std::min(columns.first[x] + columns.count, width));
    }
    for (int& x : columns.first) x -= left_;
    width_ = right - left_;
    row_.assign(3 * (width_ + columns.count) + 8, 0.0f);  // weights beyond the end are 0
  }

  // Row y of the result: float [size, 3] in 0 to 255, and one more float.
  void row(int y, int size, float* out) {
    const int count = std::min(rows.count, height_ - rows.first[y]);
    const float* w = &rows.weights[size_t(y) * rows.count];
    const uint8_t* source = image_ + rows.first[y] * stride_ + 3 * int64_t(left_);
    const int n = 3 * width_;
    add_rows<false>(std::min(count, 4), source, stride_, w, n, row_.data());
    for (int k = 4; k < count; k += 4)
      add_rows<true>(std::min(count - k, 4), source + k * stride_, stride_, w + k, n, row_.data());
    switch (columns.count) {
      case 1: return resize_row<1>(row_.data(), columns, size, out);
      case 2: return resize_row<2>(row_.data(), columns, size, out);
      case 3: return resize_row<3>(row_.data(), columns, size, out);
      case 4: return resize_row<4>(row_.data(), columns, size, out);
      default: return resize_row<0>(row_.data(), columns, size, out);
    }
  }

 private:
  const uint8_t* image_ = nullptr;
  int height_ = 0, left_ = 0, width_ = 0;
  int64_t stride_ = 0;
  std::vector<float> row_;
};

// ---------------------------------------------------------------------------------------------
// Colors. A block is n pixels of three planes, in [0, 1].

constexpr int kBlock = 1024;  // pixels, about; three planes of them fit into the first cache
constexpr float kRed = 0.2989f, kGreen = 0.587f, kBlue = 0.114f;
enum { kBrightness, kContrast, kSaturation, kHue };

struct Block {
  float* __restrict__ r;
  float* __restrict__ g;
  float* __restrict__ b;
  int n;
};

void scale_and_add(const Block& at, float factor, float add) {
  for (float* c : {at.r, at.g, at.b})
    for (int i = 0; i < at.n; ++i) c[i] = clip(factor * c[i] + add);
}

void saturate(const Block& at, float factor) {
  float *__restrict__ r = at.r, *__restrict__ g = at.g, *__restrict__ b = at.b;
  for (int i = 0; i < at.n; ++i) {
    const float gray = (1.0f - factor) * (kRed * r[i] + kGreen * g[i] + kBlue * b[i]);
    r[i] = clip(factor * r[i] + gray);
    g[i] = clip(factor * g[i] + gray);
    b[i] = clip(factor * b[i] + gray);
  }
}

// Around the hue circle a channel is `value`, falls to `value - chroma` and rises again: HSV in
// closed form, as in augment/color_jitter.py, with one remainder for all three channels.
void shift_hue(const Block& at, float shift) {
  float *__restrict__ r = at.r, *__restrict__ g = at.g, *__restrict__ b = at.b;
  const float turns = 6.0f * shift;
  for (int i = 0; i < at.n; ++i) {
    const float red = r[i], green = g[i], blue = b[i];
    const float value = std::max(std::max(red, green), blue);
    const float chroma = value - std::min(std::min(red, green), blue);
    const float inverse = 1.0f / (chroma > 0.0f ? chroma : 1.0f);
    const float of_blue = 4.0f + (red - green) * inverse;
    const float of_green = 2.0f + (blue - red) * inverse;
    const float of_red = (green - blue) * inverse;
    float h = green >= blue ? of_green : of_blue;
    h = (red >= green) & (red >= blue) ? of_red : h;
    h += turns;
    h -= 6.0f * std::floor(h * (1.0f / 6.0f));  // in [0, 6)
    const float low = value - chroma;
    r[i] = low + chroma * clip(std::fabs(h - 3.0f) - 1.0f);
    g[i] = low + chroma * clip(2.0f - std::fabs(h - 2.0f));
    b[i] = low + chroma * clip(2.0f - std::fabs(h - 4.0f));
  }
}

// Sum of the gray values, in sixteen lanes so that its order is fixed.
double sum_of_gray(const Block& at) {
  float lanes[16] = {0.0f};
  int i = 0;
  for (; i + 16 <= at.n; i += 16)
    for (int j = 0; j < 16; ++j)
      lanes[j] += kRed * at.r[i + j] + kGreen * at.g[i + j] + kBlue * at.b[i + j];
  for (; i < at.n; ++i) lanes[i % 16] += kRed * at.r[i] + kGreen * at.g[i] + kBlue * at.b[i];
  double sum = 0.0;
  for (float lane : lanes) sum += lane;
  return sum;
}

void to_gray(const Block& at) {
  float *__restrict__ r = at.r;
  const float *__restrict__ g = at.g, *__restrict__ b = at.b;
  for (int i = 0; i < at.n; ++i) r[i] = kRed * r[i] + kGreen * g[i] + kBlue * b[i];
}

// ---------------------------------------------------------------------------------------------
// Blur

// sum over k of w[k] * row[k * step + i], for each i < n.
template <typename V, int kLanes, int kUnrolled>
inline int convolve(int i, const float* row, int64_t step, const std::vector<float>& w, int n,
                    float* out) {
  for (; i + kLanes * kUnrolled <= n; i += kLanes * kUnrolled) {
    V sums[kUnrolled];
    const float* p = row + i;
    for (int u = 0; u < kUnrolled; ++u) sums[u] = w[0] * load<V>(p + kLanes * u);
    for (size_t k = 1; k < w.size(); ++k) {
      p += step;
      for (int u = 0; u < kUnrolled; ++u) sums[u] += w[k] * load<V>(p + kLanes * u);
    }
    for (int u = 0; u < kUnrolled; ++u) store(out + i + kLanes * u, sums[u]);
  }
  return i;
}

void convolve(const float* row, int64_t step, const std::vector<float>& w, int n, float* out) {
  int i = convolve<Eight, 8, 4>(0, row, step, w, n, out);
  i = convolve<Four, 4, 1>(i, row, step, w, n, out);
  for (; i < n; ++i) {
    float sum = 0.0f;
    for (size_t k = 0; k < w.size(); ++k) sum += w[k] * row[k * step + i];
    out[i] = sum;
  }
}

// Weights of the offsets -radius to radius; those at the ends that do not matter are left out.
std::vector<float> kernel(float sigma, int radius) {
  std::vector<double> half(radius + 1);
  double sum = 0.0;
  for (int i = 0; i <= radius; ++i) {
    half[i] = std::exp(-0.5 * (i / double(sigma)) * (i / double(sigma)));
    sum += (i ? 2 : 1) * half[i];
  }
  while (radius > 0 && half[radius] < 3e-6 * sum) --radius;
  std::vector<float> w(2 * radius + 1);
  for (int i = -radius; i <= radius; ++i) w[i + radius] = half[std::abs(i)] / sum;
  return w;
}

// ---------------------------------------------------------------------------------------------
// A view

struct Recipe {  // of all views
  int size;
  int largest_radius;
  std::vector<float> mean, inverse_std;
};

struct Parameters {  // of one view; null if the operation cannot occur
  const float* box;      // top, left, height, width
  const bool* flip;
  const float* factors;  // brightness, contrast, saturation, hue
  const int32_t* order;
  const bool* gray;
  const float* sigma;
};

class Maker {
 public:
  explicit Maker(const Recipe& recipe)
      : recipe_(recipe), size_(recipe.size), row_(3 * recipe.size + 8) {
    for (auto& plane : planes_) plane.resize(size_t(size_) * size_);
    for (auto& row : rows_) row.resize(size_);
    padded_.resize(size_ + 2 * recipe.largest_radius);
  }

  // Makes a view, float [size, size, 3], of an image, uint8 [height, width, 3].
  void make(const uint8_t* image, int height, int width, const Parameters& p, float* out) {
    const bool flip = p.flip && *p.flip;
    if (p.box) {
      taps_of_views(p.box[0], p.box[2], size_, false, &resizer_.rows);
      taps_of_views(p.box[1], p.box[3], size_, flip, &resizer_.columns);
      resizer_.start(image, height, width);
    }
    steps_.clear();
    for (int i = 0; p.factors && i < 4; ++i) {
      const int which = p.order[i];
      if (p.factors[which] != (which == kHue ? 0.0f : 1.0f)) steps_.push_back(which);
    }
    const bool gray = p.gray && *p.gray;
    // The contrast needs the mean over all pixels after the steps before it.
    const auto contrast = std::find(steps_.begin(), steps_.end(), int(kContrast));
    const std::vector<int> before(steps_.begin(), contrast), after(contrast, steps_.end());
    std::vector<float> weights;
    if (p.sigma && *p.sigma > 0.0f) weights = kernel(*p.sigma, recipe_.largest_radius);
    const int at_once = std::max(1, kBlock / size_);

    double sum = 0.0;
    auto first = [&](int y, int count) {
      for (int i = y; i < y + count; ++i) read(image, i, p.box != nullptr, flip);
      const Block block = rows(y, count);
      jitter(block, before, p.factors, 0.0f);
      if (!after.empty()) sum += sum_of_gray(block);
    };
    auto second = [&](int y, int count, float mean) {
      const Block block = rows(y, count);
      jitter(block, after, p.factors, mean);
      if (gray) to_gray(block);
      if (weights.size() > 1) {
        for (int c = 0; c < (gray ? 1 : 3); ++c)
          for (int i = y; i < y + count; ++i) blur_row(&planes_[c][size_t(i) * size_], weights);
      } else {
        const float* channels[3] = {block.r, gray ? block.r : block.g, gray ? block.r : block.b};
        finish(channels, block.n, out + 3 * size_t(y) * size_);
      }
    };
    auto blocks = [&](auto&& each) {
      for (int y = 0; y < size_; y += at_once) each(y, std::min(at_once, size_ - y));
    };
    if (after.empty()) {  // one pass, while the pixels are in the first cache
      blocks([&](int y, int count) { first(y, count), second(y, count, 0.0f); });
    } else {
      blocks(first);
      const float mean = sum / (double(size_) * size_);
      blocks([&](int y, int count) { second(y, count, mean); });
    }
    if (weights.size() > 1) blur_columns(weights, gray, out);
  }

 private:
  Block rows(int y, int count) {
    const size_t at = size_t(y) * size_;
    return {&planes_[0][at], &planes_[1][at], &planes_[2][at], count * size_};
  }

  // Row y of the crop, or of the image if it is a crop already.
  void read(const uint8_t* image, int y, bool crop, bool flip) {
    const Block at = rows(y, 1);
    float *__restrict__ r = at.r, *__restrict__ g = at.g, *__restrict__ b = at.b;
    constexpr float k = 1.0f / 255.0f;
    if (crop) {
      resizer_.row(y, size_, row_.data());
      const float* __restrict__ row = row_.data();
      for (int i = 0; i < size_; ++i) {
        r[i] = k * row[3 * i];
        g[i] = k * row[3 * i + 1];
        b[i] = k * row[3 * i + 2];
      }
      return;
    }
    const uint8_t* __restrict__ row = image + int64_t(y) * size_ * 3;
    for (int i = 0; i < size_; ++i) {
      r[i] = k * row[3 * i];
      g[i] = k * row[3 * i + 1];
      b[i] = k * row[3 * i + 2];
    }
    if (flip)
      for (float* c : {at.r, at.g, at.b}) std::reverse(c, c + size_);
  }

  static void jitter(const Block& block, const std::vector<int>& steps, const float* factors,
                     float mean) {
    for (int which : steps) {
      const float factor = factors[which];
      switch (which) {
        case kBrightness: scale_and_add(block, factor, 0.0f); break;
        case kContrast: scale_and_add(block, factor, (1.0f - factor) * mean); break;
        case kSaturation: saturate(block, factor); break;
        case kHue: shift_hue(block, factor); break;
      }
    }
  }

  // Blurs a row in place; beyond its ends are copies of its first and last pixel.
  void blur_row(float* row, const std::vector<float>& weights) {
    const int radius = weights.size() / 2;
    float* padded = padded_.data();
    std::fill(padded, padded + radius, row[0]);
    std::memcpy(padded + radius, row, size_ * sizeof(float));
    std::fill(padded + radius + size_, padded + 2 * radius + size_, row[size_ - 1]);
    convolve(padded, 1, weights, size_, row);
  }

  // Blurs along the columns, and writes the view.
  void blur_columns(const std::vector<float>& weights, bool gray, float* out) {
    const int radius = weights.size() / 2;
    const float* blurred[3] = {rows_[0].data(), rows_[gray ? 0 : 1].data(),
                               rows_[gray ? 0 : 2].data()};
    for (int y = 0; y < size_; ++y) {
      for (int c = 0; c < (gray ? 1 : 3); ++c) {
        const float* plane = planes_[c].data();
        float* sums = rows_[c].data();
        if (y >= radius && y + radius < size_) {
          convolve(plane + size_t(y - radius) * size_, size_, weights, size_, sums);
          continue;
        }
        std::fill(sums, sums + size_, 0.0f);
        for (int k = -radius; k <= radius; ++k) {
          const float w = weights[k + radius];
          const float* row = plane + size_t(std::min(std::max(y + k, 0), size_ - 1)) * size_;
          for (int i = 0; i < size_; ++i) sums[i] += w * row[i];
        }
      }
      finish(blurred, size_, out + 3 * size_t(y) * size_);
    }
  }

  // Normalizes n pixels and writes them with their channels last.
  void finish(const float* const* channels, int n, float* __restrict__ out) {
    const float m0 = recipe_.mean[0], m1 = recipe_.mean[1], m2 = recipe_.mean[2];
    const float s0 = recipe_.inverse_std[0], s1 = recipe_.inverse_std[1],
                s2 = recipe_.inverse_std[2];
    const float *r = channels[0], *g = channels[1], *b = channels[2];
    for (int i = 0; i < n; ++i) {
      out[3 * i] = (r[i] - m0) * s0;
      out[3 * i + 1] = (g[i] - m1) * s1;
      out[3 * i + 2] = (b[i] - m2) * s2;
    }
  }

  const Recipe& recipe_;
  const int size_;
  Resizer resizer_;
  std::vector<int> steps_;
  std::vector<float> planes_[3], rows_[3], row_, padded_;
};

// ---------------------------------------------------------------------------------------------
// Operations

#define CHECKED(condition, message) \
  OP_REQUIRES(context, condition, tensorflow::errors::InvalidArgument(message))

void shard(OpKernelContext* context, int64_t count, int64_t cost,
           const std::function<void(int64_t, int64_t)>& work) {
  auto threads = context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(threads->num_threads, threads->workers, count, cost, work);
}

class Views : public OpKernel {
 public:
  explicit Views(OpKernelConstruction* context) : OpKernel(context) {
    std::vector<float> std;
    float largest_sigma;
    OP_REQUIRES_OK(context, context->GetAttr("size", &recipe_.size));
    OP_REQUIRES_OK(context, context->GetAttr("mean", &recipe_.mean));
    OP_REQUIRES_OK(context, context->GetAttr("std", &std));
    OP_REQUIRES_OK(context, context->GetAttr("largest_sigma", &largest_sigma));
    CHECKED(recipe_.size > 0, "size must be positive");
    CHECKED(recipe_.mean.size() == 3 && std.size() == 3, "mean and std must have 3 values");
    for (float s : std) recipe_.inverse_std.push_back(1.0f / s);
    recipe_.largest_radius = std::max(1, int(3.0 * largest_sigma + 0.5));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& images = context->input(0);
    CHECKED(images.dims() == 4 && images.dim_size(3) == 3, "images must be [B, H, W, 3]");
    const int64_t count = images.dim_size(0);
    const int height = images.dim_size(1), width = images.dim_size(2), size = recipe_.size;
    const int64_t widths[] = {4, 1, 4, 4, 1, 1};
    for (int i = 0; i < 6; ++i) {
      const int64_t n = context->input(1 + i).NumElements();
      CHECKED(n == 0 || n == count * widths[i], "each parameter must be one of each image, or empty");
    }
    Parameters all = {values<float>(context, 1), values<bool>(context, 2),
                      values<float>(context, 3), values<int32_t>(context, 4),
                      values<bool>(context, 5), values<float>(context, 6)};
    CHECKED(!all.factors == !all.order, "factors and order go together");
    CHECKED(all.box || (height == size && width == size), "crops must be of the view's size");
    for (int64_t i = 0; all.box && i < count; ++i) {
      const float* b = all.box + 4 * i;
      CHECKED(b[0] >= 0 && b[1] >= 0 && b[2] >= 1 && b[3] >= 1 && b[0] + b[2] <= height &&
                  b[1] + b[3] <= width, "boxes must be inside of the image");
    }
    for (int64_t i = 0; all.order && i < 4 * count; ++i)
      CHECKED(all.order[i] >= 0 && all.order[i] < 4, "order must be a permutation of 0 to 3");
    Tensor* made;
    OP_REQUIRES_OK(context, context->allocate_output(0, {count, size, size, 3}, &made));
    const uint8_t* pixels = images.flat<uint8_t>().data();
    float* out = made->flat<float>().data();
    // About 30 cycles a pixel.
    shard(context, count, 30 * int64_t(size) * size, [&](int64_t from, int64_t to) {
      Maker maker(recipe_);
      for (int64_t i = from; i < to; ++i) {
        auto of_image = [i](auto* v, int n) { return v ? v + n * i : v; };
        const Parameters p = {of_image(all.box, 4),     of_image(all.flip, 1),
                              of_image(all.factors, 4), of_image(all.order, 4),
                              of_image(all.gray, 1),    of_image(all.sigma, 1)};
        maker.make(pixels + i * height * width * 3, height, width, p,
                   out + i * size * size * 3);
      }
    });
  }

 private:
  template <typename T>
  static const T* values(OpKernelContext* context, int input) {
    const Tensor& tensor = context->input(input);
    return tensor.NumElements() ? tensor.flat<T>().data() : nullptr;
  }

  Recipe recipe_;
};

class Crops : public OpKernel {
 public:
  explicit Crops(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("sizes", &sizes_));
    OP_REQUIRES_OK(context, context->GetAttr("narrow", &narrow_));
    OP_REQUIRES_OK(context, context->GetAttr("broad", &broad_));
    CHECKED(narrow_.size() == sizes_.size() && broad_.size() == sizes_.size(),
            "narrow and broad must be one of each view");
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &image = context->input(0), &shares = context->input(1),
                 &ratios = context->input(2), &corners = context->input(3);
    const int views = sizes_.size();
    CHECKED(image.dims() == 3 && image.dim_size(2) == 3 && image.NumElements() > 0,
            "image must be [H, W, 3]");
    CHECKED(shares.dims() == 2 && shares.dim_size(0) == views && ratios.shape() == shares.shape() &&
                corners.shape() == TensorShape({views, 2}),
            "shares and ratios must be [views, tries], corners [views, 2]");
    const int height = image.dim_size(0), width = image.dim_size(1);
    const int tries = shares.dim_size(1);
    const uint8_t* pixels = image.flat<uint8_t>().data();
    Resizer resizer;
    std::vector<float> row;
    for (int v = 0; v < views; ++v) {
      const int size = sizes_[v];
      Tensor* made;
      OP_REQUIRES_OK(context, context->allocate_output(v, {size, size, 3}, &made));
      uint8_t* __restrict__ out = made->flat<uint8_t>().data();
      int box[4];
      choose(height, width, shares.flat<float>().data() + v * tries,
             ratios.flat<float>().data() + v * tries, tries,
             corners.flat<float>().data() + 2 * v, narrow_[v], broad_[v], box);
      taps_of_tensorflow(box[2], size, &resizer.rows);
      taps_of_tensorflow(box[3], size, &resizer.columns);
      for (int& y : resizer.rows.first) y += box[0];
      for (int& x : resizer.columns.first) x += box[1];
      resizer.start(pixels, height, width);
      row.resize(3 * size + 8);
      for (int y = 0; y < size; ++y, out += 3 * size) {
        resizer.row(y, size, row.data());
        const float* __restrict__ r = row.data();
        for (int i = 0; i < 3 * size; ++i) out[i] = uint8_t(int(std::nearbyint(r[i])));
      }
    }
  }

 private:
  // Top, left, height and width, as in augment/crop.py.
  static void choose(float height, float width, const float* share, const float* ratio, int tries,
                     const float* corner, float narrow, float broad, int* box) {
    float h = std::min(height, std::nearbyint(width / narrow));
    float w = std::min(width, std::nearbyint(height * broad));
    bool found = false;
    for (int i = 0; i < tries && !found; ++i) {
      const float area = height * width * share[i];
      const float each_w = std::nearbyint(std::sqrt(area * ratio[i]));
      const float each_h = std::nearbyint(std::sqrt(area / ratio[i]));
      found = each_w > 0 && each_w <= width && each_h > 0 && each_h <= height;
      if (found) h = each_h, w = each_w;
    }
    const float room[2] = {height - h, width - w};
    for (int i = 0; i < 2; ++i)
      box[i] = found ? std::min(std::floor(corner[i] * (room[i] + 1.0f)), room[i])
                     : std::floor(room[i] / 2.0f);
    box[2] = h, box[3] = w;
  }

  std::vector<int> sizes_;
  std::vector<float> narrow_, broad_;
};

// A whole image: its shorter side resized to `size`, and the center cropped, as `square` of
// data/images.py does, number by number.
class Square : public OpKernel {
 public:
  explicit Square(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("size", &size_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& image = context->input(0);
    CHECKED(image.dims() == 3 && image.dim_size(2) == 3 && image.NumElements() > 0,
            "image must be [H, W, 3]");
    const int height = image.dim_size(0), width = image.dim_size(1);
    Tensor* made;
    OP_REQUIRES_OK(context, context->allocate_output(0, {size_, size_, 3}, &made));
    uint8_t* __restrict__ out = made->flat<uint8_t>().data();
    const uint8_t* pixels = image.flat<uint8_t>().data();
    Resizer resizer;
    central(height, std::min(height, width), &resizer.rows);
    central(width, std::min(height, width), &resizer.columns);
    resizer.start(pixels, height, width);
    std::vector<float> row(3 * size_ + 8);
    for (int y = 0; y < size_; ++y, out += 3 * size_) {
      resizer.row(y, size_, row.data());
      const float* __restrict__ r = row.data();
      for (int i = 0; i < 3 * size_; ++i) out[i] = uint8_t(int(std::nearbyint(r[i])));
    }
  }

 private:
  // The taps of the central pixels of a side.
  void central(int length, int shorter, Taps* taps) const {
    const int whole = std::nearbyint(float(int64_t(length) * size_) / float(shorter));
    taps_of_tensorflow(length, whole, taps);
    const int before = (whole - size_) / 2;
    taps->first.erase(taps->first.begin(), taps->first.begin() + before);
    taps->first.resize(size_);
    taps->weights.erase(taps->weights.begin(),
                        taps->weights.begin() + size_t(before) * taps->count);
  }

  int size_;
};

class Uniforms : public OpKernel {
 public:
  explicit Uniforms(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("views", &views_));
    OP_REQUIRES_OK(context, context->GetAttr("count", &count_));
  }

  void Compute(OpKernelContext* context) override {
    using Philox = tensorflow::random::PhiloxRandom;
    const Tensor& keys = context->input(0);
    CHECKED(keys.dims() == 2 && keys.dim_size(1) == 2, "keys must be [B, 2]");
    const int64_t examples = keys.dim_size(0);
    Tensor* made;
    OP_REQUIRES_OK(context, context->allocate_output(0, {views_, examples, count_}, &made));
    const int64_t* key_of = keys.flat<int64_t>().data();
    float* out = made->flat<float>().data();
    for (int64_t e = 0; e < examples; ++e) {
      // As tf.random.stateless_uniform does: the seed is scrambled to a key and a counter.
      const uint64_t low = key_of[2 * e], high = key_of[2 * e + 1];
      Philox::ResultType counter;
      counter[0] = uint32_t(low), counter[1] = uint32_t(low >> 32);
      counter[2] = uint32_t(high), counter[3] = uint32_t(high >> 32);
      Philox::Key key;
      key[0] = 0x3ec8f720, key[1] = 0x02461e29;
      const auto mixed = Philox(counter, key)();
      key[0] = mixed[0], key[1] = mixed[1];
      counter[0] = counter[1] = 0, counter[2] = mixed[2], counter[3] = mixed[3];
      Philox generator(counter, key);
      Philox::ResultType bits;
      for (int i = 0, n = views_ * count_; i < n; ++i) {
        if (i % 4 == 0) bits = generator();
        const uint32_t one_to_two = 0x3f800000u | (bits[i % 4] & 0x7fffffu);
        float value;
        std::memcpy(&value, &one_to_two, 4);
        out[(i / count_ * examples + e) * count_ + i % count_] = value - 1.0f;
      }
    }
  }

 private:
  int views_, count_;
};

REGISTER_OP("KerasSimsiamViews")
    .Input("images: uint8")
    .Input("box: float32")
    .Input("flip: bool")
    .Input("factors: float32")
    .Input("order: int32")
    .Input("gray: bool")
    .Input("sigma: float32")
    .Attr("size: int")
    .Attr("mean: list(float)")
    .Attr("std: list(float)")
    .Attr("largest_sigma: float")
    .Output("views: float32")
    .SetShapeFn([](InferenceContext* c) {
      int size;
      TF_RETURN_IF_ERROR(c->GetAttr("size", &size));
      tensorflow::shape_inference::ShapeHandle images;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &images));
      c->set_output(0, c->MakeShape({c->Dim(images, 0), c->MakeDim(size), c->MakeDim(size),
                                     c->MakeDim(3)}));
      return tensorflow::Status();
    });

REGISTER_OP("KerasSimsiamCrops")
    .Input("image: uint8")
    .Input("shares: float32")
    .Input("ratios: float32")
    .Input("corners: float32")
    .Attr("views: int >= 1")
    .Attr("sizes: list(int)")
    .Attr("narrow: list(float)")
    .Attr("broad: list(float)")
    .Output("crops: views * uint8")
    .SetShapeFn([](InferenceContext* c) {
      std::vector<int> sizes;
      TF_RETURN_IF_ERROR(c->GetAttr("sizes", &sizes));
      for (int i = 0; i < c->num_outputs(); ++i)
        c->set_output(i, c->MakeShape({sizes[i], sizes[i], 3}));
      return tensorflow::Status();
    });

REGISTER_OP("KerasSimsiamSquare")
    .Input("image: uint8")
    .Attr("size: int >= 1")
    .Output("square: uint8")
    .SetShapeFn([](InferenceContext* c) {
      int size;
      TF_RETURN_IF_ERROR(c->GetAttr("size", &size));
      c->set_output(0, c->MakeShape({size, size, 3}));
      return tensorflow::Status();
    });

REGISTER_OP("KerasSimsiamUniforms")
    .Input("keys: int64")
    .Attr("views: int")
    .Attr("count: int")
    .Output("numbers: float32")
    .SetShapeFn([](InferenceContext* c) {
      int views, count;
      TF_RETURN_IF_ERROR(c->GetAttr("views", &views));
      TF_RETURN_IF_ERROR(c->GetAttr("count", &count));
      tensorflow::shape_inference::ShapeHandle keys;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &keys));
      c->set_output(0, c->MakeShape({c->MakeDim(views), c->Dim(keys, 0), c->MakeDim(count)}));
      return tensorflow::Status();
    });

REGISTER_KERNEL_BUILDER(Name("KerasSimsiamViews").Device(tensorflow::DEVICE_CPU), Views);
REGISTER_KERNEL_BUILDER(Name("KerasSimsiamCrops").Device(tensorflow::DEVICE_CPU), Crops);
REGISTER_KERNEL_BUILDER(Name("KerasSimsiamSquare").Device(tensorflow::DEVICE_CPU), Square);
REGISTER_KERNEL_BUILDER(Name("KerasSimsiamUniforms").Device(tensorflow::DEVICE_CPU), Uniforms);

}  // namespace
