// SPDX-License-Identifier: Apache-2.0
// The tiles of keys and values that attention goes through: where they lie, and how they come.

// The keys and values of a tile where they lie, kKeyTile of each.
struct TileRows {
  const void* keys[kKeyTile];
  const void* values[kKeyTile];
};

// Finds the rows that lie in pages; the rows after them stay as they are.
template <bool kBf16>
inline void FindCommitted(const AttentionItem& a, int64_t begin, TileRows& rows) {
  constexpr int64_t kElement = kBf16 ? 2 : 4;
  const int64_t left = a.num_committed - begin;
  const int64_t count = left < kKeyTile ? left : kKeyTile;
  for (int64_t j = 0; j < count;) {
    const int64_t offset = (begin + j) % a.page_size;
    const int64_t at = a.page_table[(begin + j) / a.page_size] * a.page_stride + a.head_offset +
                       offset * a.head_dim;
    const char* key = static_cast<const char*>(a.page_keys) + at * kElement;
    const char* value = static_cast<const char*>(a.page_values) + at * kElement;
    const int64_t end = j + a.page_size - offset < count ? j + a.page_size - offset : count;
    for (; j < end; ++j, key += a.head_dim * kElement, value += a.head_dim * kElement) {
      rows.keys[j] = key;
      rows.values[j] = value;
    }
  }
}

template <bool kBf16>
inline const void* OwnRow(const float* row, int64_t head_dim, void* storage) {
  if constexpr (!kBf16) {
    return row;
  } else {
    RoundBf16(row, head_dim, static_cast<uint16_t*>(storage));  // exact: it was rounded before
    return storage;
  }
}

// Finds the first `count` rows of a tile, zeros where there are none. own_rows: room for kKeyTile
// keys and as many values, for what does not lie in pages.
template <bool kBf16>
inline void FindRows(const AttentionItem& a, int64_t begin, int64_t count, char* own_rows,
                     TileRows& rows) {
  FindCommitted<kBf16>(a, begin, rows);
  const int64_t row_bytes = a.head_dim * (kBf16 ? 2 : 4);
  const int64_t committed = a.num_committed - begin;
  for (int64_t j = committed < 0 ? 0 : committed; j < count; ++j) {
    char* key = own_rows + j * row_bytes;
    char* value = own_rows + (kKeyTile + j) * row_bytes;
    if (begin + j < a.num_keys) {
      const int64_t own = (begin + j - a.num_committed) * a.row_stride;
      rows.keys[j] = OwnRow<kBf16>(a.own_k + own, a.head_dim, key);
      rows.values[j] = OwnRow<kBf16>(a.own_v + own, a.head_dim, value);
    } else {
      __builtin_memset(key, 0, static_cast<size_t>(row_bytes));
      rows.keys[j] = rows.values[j] = key;
    }
  }
}

// Keys, or values, that are taken as they lie in memory, one after the other.
constexpr int kKeysTogether = 16;
constexpr int kRunsOfTile = kKeyTile / kKeysTogether;

// Where the keys of a tile lie, kKeysTogether after one another from each pointer on.
struct JoinedKeys {
  const char* keys[kRunsOfTile];
};

// Finds rows that lie together; others are brought together from `own` on.
inline void JoinRows(const void* const* rows, int64_t count, int64_t row_bytes, char* own,
                     const char** runs) {
  for (int64_t first = 0; first < count; first += kKeysTogether, rows += kKeysTogether) {
    const auto base = reinterpret_cast<intptr_t>(rows[0]);
    intptr_t apart = 0;
    for (int64_t j = 0; j < kKeysTogether; ++j) {
      apart |= reinterpret_cast<intptr_t>(rows[j]) - (base + j * row_bytes);
    }
    char* joined = own + first * row_bytes;
    runs[first / kKeysTogether] = apart == 0 ? static_cast<const char*>(rows[0]) : joined;
    if (apart == 0) continue;
    for (int64_t j = 0; j < kKeysTogether; ++j) {
      char* to = joined + j * row_bytes;
      if (rows[j] != to) __builtin_memcpy(to, rows[j], static_cast<size_t>(row_bytes));
    }
  }
}

// Where a tile of keys and values lies, kKeysTogether rows after one another from each pointer on.
struct TileOfKeys {
  const char* keys[kRunsOfTile];
  const char* values[kRunsOfTile];
  bool is_found = false;  // before it is its turn, which is when it can be fetched
};

// Finds the tile at `begin`, or that far into the next item, if all of it is committed and lies in
// pages of whole runs.
inline void FindAhead(const AttentionItem& a, int64_t begin, TileOfKeys& tile) {
  const int32_t* page_table = a.page_table;
  int64_t head_offset = a.head_offset, num_committed = a.num_committed;
  if (begin >= a.num_keys) {
    begin -= (a.num_keys + kKeyTile - 1) / kKeyTile * kKeyTile;
    page_table = a.next_page_table;
    head_offset = a.next_head_offset;
    num_committed = a.next_committed;
  }
  tile.is_found = begin + kKeyTile <= num_committed && a.page_size % kKeysTogether == 0;
  if (!tile.is_found) return;
  for (int run = 0; run < kRunsOfTile; ++run, begin += kKeysTogether) {
    const int64_t at = page_table[begin / a.page_size] * a.page_stride + head_offset +
                       begin % a.page_size * a.head_dim;
    tile.keys[run] = static_cast<const char*>(a.page_keys) + 2 * at;
    tile.values[run] = static_cast<const char*>(a.page_values) + 2 * at;
  }
}

// What is left to do before the tile at `begin` is multiplied. own: as FindRows has it.
inline void JoinTile(const AttentionItem& a, int64_t begin, char* own, TileOfKeys& tile) {
  if (tile.is_found) return;
  const int64_t row_bytes = a.head_dim * 2;
  TileRows rows;
  FindRows<true>(a, begin, kKeyTile, own, rows);
  JoinRows(rows.values, kKeyTile, row_bytes, own + kKeyTile * row_bytes, tile.values);
  JoinRows(rows.keys, kKeyTile, row_bytes, own, tile.keys);
}

// The rows of the tile of keys that comes next, fetched into the second-level cache meanwhile. Its
// runs take turns (see LineFetch).
struct RowFetch {
  // One of `steps` of about the same length.
  void Step() {
    if (tile == nullptr) return;
    ++step;
    for (const int64_t end = kKeyTile * step / steps; next < end; ++next) {
      const int64_t run = next % kRunsOfTile, row = next / kRunsOfTile * row_bytes;
      for (int64_t at = row; at < row + row_bytes; at += kLineBytes) {
        __builtin_prefetch(tile->keys[run] + at, 0, 2);
        __builtin_prefetch(tile->values[run] + at, 0, 2);
      }
    }
  }

  const TileOfKeys* tile = nullptr;  // null: nothing to fetch
  int64_t row_bytes = 0;
  int64_t steps = 0;
  int64_t step = 0;
  int64_t next = 0;
};

// What is fetched into the second-level cache while a tile is computed: the rows of the next tile
// and of the one after it. The processor drops fetches when too many are under way, so every
// row is asked for twice.
struct Fetch {
  Fetch(int64_t num_parts, int64_t bytes_of_row) : parts(num_parts), row_bytes(bytes_of_row) {}

  // Before tile `t` of the item. Tile i lies in tiles[i % 3] from two tiles before it on, if all of
  // it is committed; those of the next item count on from there.
  template <bool kBf16>
  void StartTile(const AttentionItem& a, int64_t t, TileRows (&tiles)[3]) {
    const int64_t whole = a.num_committed / kKeyTile;
    part = 0;
    if (t >= whole) {
      ahead[0] = ahead[1] = nullptr;
      return;
    }
    ahead[0] = t == 0 ? FindAhead<kBf16>(a, 1, tiles) : ahead[1];
    ahead[1] = FindAhead<kBf16>(a, t + 2, tiles);
  }

  // The first row from `from` on that this part fetches: parts share a tile's rows.
  int64_t FirstFrom(int64_t from) const {
    if (ahead[0] == nullptr) return kKeyTile;
    return from <= part ? part : part + (from - part + parts - 1) / parts * parts;
  }
  void Key(int64_t row) const {
    for (const TileRows* tile : ahead) {
      if (tile != nullptr) Row(tile->keys[row]);
    }
  }
  void Value(int64_t row) const {
    for (const TileRows* tile : ahead) {
      if (tile != nullptr) Row(tile->values[row]);
    }
  }

  int64_t part = 0;
  int64_t parts;

 private:
  template <bool kBf16>
  static const TileRows* FindAhead(const AttentionItem& a, int64_t t, TileRows (&tiles)[3]) {
    AttentionItem item = a;
    const int64_t whole = a.num_committed / kKeyTile;
    TileRows& rows = tiles[t % 3];
    if (t >= whole) {
      t -= whole;
      item.page_table = a.next_page_table;
      item.head_offset = a.next_head_offset;
      item.num_committed = a.next_committed;
    }
    if ((t + 1) * kKeyTile > item.num_committed) return nullptr;
    FindCommitted<kBf16>(item, t * kKeyTile, rows);
    return &rows;
  }
  void Row(const void* row) const {
    for (int64_t at = 0; at < row_bytes; at += kLineBytes) {
      __builtin_prefetch(static_cast<const char*>(row) + at, 0, 2);
    }
  }

  const TileRows* ahead[2] = {};  // null: nothing to fetch
  int64_t row_bytes;
};

inline void TransposeKeys(const TileRows& rows, int64_t words, uint32_t* keys) {
  const int64_t whole = words / kLanes * kLanes;
  for (int64_t j = 0; j < kKeyTile; j += kLanes) {
    for (int64_t w = 0; w < whole; w += kLanes) {
      Vu square[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        square[i] = LoadWords(static_cast<const uint32_t*>(rows.keys[j + i]) + w);
      }
      Transpose(square);
      for (int i = 0; i < kLanes; ++i) {
        StoreWords(keys + (w + i) * kKeyTile + j, square[i]);
      }
    }
  }
  for (int64_t w = whole; w < words; ++w) {
    for (int64_t j = 0; j < kKeyTile; ++j) {
      __builtin_memcpy(keys + w * kKeyTile + j, static_cast<const char*>(rows.keys[j]) + 4 * w, 4);
    }
  }
}
