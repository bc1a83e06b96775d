// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/sharded_weights.h"

#include <string>
#include <utility>

#include "common/status_macros.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {
namespace {

// The elements of a matrix from `first` on, with its columns between rows.
WeightPiece PieceOf(const TensorData& tensor, int64_t first, int64_t rows) {
  WeightPiece piece;
  piece.dtype = tensor.dtype;
  piece.rows = rows;
  piece.row_stride = tensor.shape[1];
  if (tensor.synthetic_key) {
    piece.synthetic = {*tensor.synthetic_key, static_cast<uint64_t>(first)};
  } else {
    piece.data = tensor.bytes.data() + first * static_cast<int64_t>(SizeOf(tensor.dtype));
  }
  return piece;
}

// Rows [rows.begin, rows.end) of a matrix, all columns.
WeightPiece RowsOf(const TensorData& tensor, Range rows) {
  return PieceOf(tensor, rows.begin * tensor.shape[1], rows.size());
}

// Columns [cols.begin, cols.end) of a matrix, all rows.
WeightPiece ColumnsOf(const TensorData& tensor, Range cols) {
  return PieceOf(tensor, cols.begin, tensor.shape[0]);
}

class Loader {
 public:
  Loader(const ModelConfig& config, const TensorSource& source, const ShardPlan& shard,
         WeightFormat format, Backend& backend)
      : config_(config), source_(source), shard_(shard), format_(format), backend_(backend) {}

  absl::StatusOr<NormWeight> Norm(const std::string& name) {
    SDAR_ASSIGN_OR_RETURN(const TensorData tensor, source_(name));
    const int64_t n = tensor.shape[0];
    std::vector<float> values(static_cast<size_t>(n));
    ConvertToFloat(tensor.dtype, tensor.bytes.data(), values.size(), values.data());
    NormWeight norm;
    SDAR_ASSIGN_OR_RETURN(norm.storage, backend_.Allocate(values.size() * sizeof(float)));
    backend_.CopyToDevice(values.data(), values.size() * sizeof(float), norm.storage.data());
    norm.view = MakeView(norm.storage.data(), DType::kFloat32, 1, n);
    return norm;
  }

  absl::StatusOr<PackedWeight> PackRows(absl::Span<const std::pair<std::string, Range>> parts,
                                        WeightFormat format) {
    std::vector<WeightPiece> pieces;
    for (const auto& [name, rows] : parts) {
      SDAR_ASSIGN_OR_RETURN(const TensorData tensor, source_(name));
      pieces.push_back(RowsOf(tensor, rows));
    }
    return backend_.Pack(pieces, config_.hidden_size, format);
  }

  absl::StatusOr<PackedWeight> PackColumns(const std::string& name, Range cols) {
    SDAR_ASSIGN_OR_RETURN(const TensorData tensor, source_(name));
    return backend_.Pack({ColumnsOf(tensor, cols)}, cols.size(), format_);
  }

  absl::Status Attention(int layer, LayerWeights& out) {
    const int64_t d = config_.head_dim;
    const Range q{shard_.heads.begin * d, shard_.heads.end * d};
    const Range kv{shard_.kv_heads.begin * d, shard_.kv_heads.end * d};
    const auto name = [layer](absl::string_view part) { return LayerTensorName(layer, part); };
    SDAR_ASSIGN_OR_RETURN(out.input_norm, Norm(name("input_layernorm")));
    SDAR_ASSIGN_OR_RETURN(out.post_attention_norm, Norm(name("post_attention_layernorm")));
    SDAR_ASSIGN_OR_RETURN(out.q_norm, Norm(name("self_attn.q_norm")));
    SDAR_ASSIGN_OR_RETURN(out.k_norm, Norm(name("self_attn.k_norm")));
    SDAR_ASSIGN_OR_RETURN(out.qkv, PackRows({{name("self_attn.q_proj"), q},
                                             {name("self_attn.k_proj"), kv},
                                             {name("self_attn.v_proj"), kv}},
                                            format_));
    SDAR_ASSIGN_OR_RETURN(out.o, PackColumns(name("self_attn.o_proj"), q));
    return absl::OkStatus();
  }

  absl::Status DenseMlp(int layer, LayerWeights& out) {
    const Range columns = shard_.mlp_columns;
    if (columns.size() == 0) return absl::OkStatus();
    SDAR_ASSIGN_OR_RETURN(out.gate_up, PackRows({{LayerTensorName(layer, "mlp.gate_proj"), columns},
                                                 {LayerTensorName(layer, "mlp.up_proj"), columns}},
                                                format_));
    SDAR_ASSIGN_OR_RETURN(out.down, PackColumns(LayerTensorName(layer, "mlp.down_proj"), columns));
    return absl::OkStatus();
  }

  absl::Status SparseMlp(int layer, LayerWeights& out) {
    const Range all{0, config_.moe_intermediate_size};
    SDAR_ASSIGN_OR_RETURN(
        out.router, PackRows({{LayerTensorName(layer, "mlp.gate"), Range{0, config_.num_experts}}},
                             WeightFormat::kAct));
    out.experts.first_expert = shard_.experts.begin;
    for (int64_t e = shard_.experts.begin; e < shard_.experts.end; ++e) {
      const auto name = [layer, e](absl::string_view part) {
        return ExpertTensorName(layer, static_cast<int>(e), part);
      };
      SDAR_ASSIGN_OR_RETURN(PackedWeight gate_up,
                            PackRows({{name("gate_proj"), all}, {name("up_proj"), all}}, format_));
      SDAR_ASSIGN_OR_RETURN(PackedWeight down, PackColumns(name("down_proj"), all));
      out.experts.gate_up.push_back(std::move(gate_up));
      out.experts.down.push_back(std::move(down));
    }
    return absl::OkStatus();
  }

  // The embedding stays row-major: single rows are looked up in it.
  absl::Status Embedding(ShardedWeights& out) {
    SDAR_ASSIGN_OR_RETURN(const TensorData tensor, source_(kEmbedTokensName));
    const WeightPiece piece = RowsOf(tensor, shard_.vocabulary);
    SDAR_ASSIGN_OR_RETURN(out.embed_storage, backend_.MakeTable(piece, config_.hidden_size));
    out.embed =
        MakeView(out.embed_storage.data(), backend_.act_dtype(), piece.rows, config_.hidden_size);
    return absl::OkStatus();
  }

 private:
  const ModelConfig& config_;
  const TensorSource& source_;
  const ShardPlan& shard_;
  WeightFormat format_;
  Backend& backend_;
};

}  // namespace

absl::StatusOr<ShardedWeights> LoadShardedWeights(const ModelConfig& config,
                                                  const TensorSource& source,
                                                  const WeightOptions& options, Backend& backend,
                                                  const Progress& progress) {
  SDAR_RETURN_IF_ERROR(CheckRankCount(config, options.ranks));
  ShardedWeights weights;
  weights.shard = PlanShard(config, options.ranks, options.rank);
  Loader loader(config, source, weights.shard, options.format, backend);
  SDAR_RETURN_IF_ERROR(loader.Embedding(weights));
  for (int layer = 0; layer < config.num_layers; ++layer) {
    if (progress) progress(static_cast<double>(layer) / config.num_layers);
    LayerWeights& out = weights.layers.emplace_back();
    SDAR_RETURN_IF_ERROR(loader.Attention(layer, out));
    SDAR_RETURN_IF_ERROR(config.IsSparse(layer) ? loader.SparseMlp(layer, out)
                                                : loader.DenseMlp(layer, out));
  }
  SDAR_ASSIGN_OR_RETURN(weights.final_norm, loader.Norm(kFinalNormName));
  const std::string head = config.IsTied() ? kEmbedTokensName : kLmHeadName;
  SDAR_ASSIGN_OR_RETURN(weights.lm_head,
                        loader.PackRows({{head, weights.shard.vocabulary}}, options.format));
  if (progress) progress(1.0);
  return weights;
}

}  // namespace sdar
