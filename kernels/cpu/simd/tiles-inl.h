// SPDX-License-Identifier: Apache-2.0
// Tiles: a file of eight registers of up to 16 rows of 64 bytes, and the products of two of them.
// SDAR_TILES says whose they are: SDAR_TILES_HARDWARE is the tile unit of AMX, SDAR_TILES_EMULATED
// gives the same bits by plain arithmetic, so that what is built on tiles can be checked anywhere.

constexpr int kTileRows = 16;
constexpr int kTileRowBytes = 64;
constexpr int kTileWords = kTileRowBytes / 4;  // of a row

// What the unit is told before its use, as LDTILECFG reads it.
struct TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// A file of tiles 0 .. 7, tile t with rows[t] rows; holds the unit while it lives.
#if SDAR_TILES == SDAR_TILES_HARDWARE
class Tiles {
 public:
  explicit Tiles(const uint8_t (&rows)[8]) {
    TileConfig config;
    for (int t = 0; t < 8; ++t) {
      config.row_bytes[t] = kTileRowBytes;
      config.rows[t] = rows[t];
    }
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~Tiles() { asm volatile("tilerelease" : : : "memory"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  // Rows that lie `stride` bytes apart.
  template <int kTile>
  void Load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  // The same of what is read once and then not for long: it leaves the first-level cache to others.
  template <int kTile>
  void LoadPassing(const void* from, int64_t stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
                 :
                 : "r"(from), "r"(stride), "i"(kTile)
                 : "memory");
  }
  template <int kTile>
  void Store(void* to, int64_t stride) const {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  void Clear() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Sums of pairs of bfloat16: c[m][n] += (even products) + (odd products) of a[m] and column n of
  // b, each of the two summed over the 16 words in ascending order by fused multiply-adds from +0;
  // denormals are zeros, as operands and as results.
  template <int kC, int kA, int kB>
  void AddBFloat16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
  // Exact sums of unsigned bytes of a times signed ones of b.
  template <int kC, int kA, int kB>
  void AddBytes() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
};
#else
class Tiles {
 public:
  explicit Tiles(const uint8_t (&rows)[8]) {
    for (int t = 0; t < 8; ++t) rows_[t] = rows[t];
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int kTile>
  void Load(const void* from, int64_t stride) {
    for (int r = 0; r < rows_[kTile]; ++r) {
      __builtin_memcpy(words_[kTile][r], static_cast<const char*>(from) + r * stride,
                       kTileRowBytes);
    }
  }
  template <int kTile>
  void LoadPassing(const void* from, int64_t stride) {
    Load<kTile>(from, stride);
  }
  template <int kTile>
  void Store(void* to, int64_t stride) const {
    for (int r = 0; r < rows_[kTile]; ++r) {
      __builtin_memcpy(static_cast<char*>(to) + r * stride, words_[kTile][r], kTileRowBytes);
    }
  }
  template <int kTile>
  void Clear() {
    __builtin_memset(words_[kTile], 0, sizeof words_[kTile]);
  }
  template <int kC, int kA, int kB>
  void AddBFloat16() {
    for (int m = 0; m < rows_[kC]; ++m) {
      for (int n = 0; n < kTileWords; ++n) {
        float even = 0, odd = 0;
        for (int w = 0; w < kTileWords; ++w) {
          const uint32_t a = words_[kA][m][w], b = words_[kB][w][n];
          even = AddProduct(a << 16, b << 16, even);
          odd = AddProduct(a & 0xFFFF0000u, b & 0xFFFF0000u, odd);
        }
        const float sum = Flushed(Flushed(Float(words_[kC][m][n])) + Flushed(even + odd));
        __builtin_memcpy(&words_[kC][m][n], &sum, sizeof sum);
      }
    }
  }
  template <int kC, int kA, int kB>
  void AddBytes() {
    for (int m = 0; m < rows_[kC]; ++m) {
      for (int n = 0; n < kTileWords; ++n) {
        uint32_t sum = words_[kC][m][n];
        for (int w = 0; w < kTileWords; ++w) {
          for (int bit = 0; bit < 32; bit += 8) {
            const auto a = static_cast<int32_t>(words_[kA][m][w] >> bit & 0xFFu);
            const auto b = static_cast<int8_t>(words_[kB][w][n] >> bit);
            sum += static_cast<uint32_t>(a * b);
          }
        }
        words_[kC][m][n] = sum;
      }
    }
  }

 private:
  static float Float(uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  static float Flushed(float value) {
    return __builtin_fabsf(value) < 0x1p-126f ? __builtin_copysignf(0, value) : value;
  }
  // round(a * b + c). The product of two bfloat16 is exact in float64, and so close to a float32
  // or so far from halfway between two that the sum's second rounding changes nothing. What is
  // tiny is decided by the exponent after rounding to 24 bits, so a power of two moves it where
  // float32 still has them.
  static float AddProduct(uint32_t a, uint32_t b, float c) {
    const double sum = double{Flushed(Float(a))} * double{Flushed(Float(b))} + double{c};
    const auto scaled = static_cast<float>(sum * 0x1p64);
    if (__builtin_fabsf(scaled) < 0x1p-62f) return __builtin_copysignf(0, scaled);
    return static_cast<float>(sum);
  }

  int rows_[8] = {};
  uint32_t words_[8][kTileRows][kTileWords] = {};
};
#endif
