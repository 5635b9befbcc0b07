#include "engine/chunk_packer.h"

#include <algorithm>
#include <utility>

namespace larder {
namespace {

// White space longer than this separates like a heading would.
constexpr size_t kMaxGapBytes = 1024;

// A better cut is worth a chunk that is less full, down to these parts of the limit.
struct CutRule {
  CutPoint at_least;
  double min_fill;
};
constexpr CutRule kCutRules[] = {
    {CutPoint::kHeading, 0.25},  {CutPoint::kParagraph, 0.5}, {CutPoint::kListItem, 0.5},
    {CutPoint::kSentence, 0.25}, {CutPoint::kLine, 0.125},    {CutPoint::kWord, 0.0},
};

// An introduction shorter than this part of the limit joins the subsection that follows it.
constexpr double kSmallIntroduction = 0.25;

}  // namespace

ChunkPacker::ChunkPacker(absl::string_view text, const ChunkingOptions& options, const TokenCounter& tokens,
                         std::vector<CutChunk>* out)
    : text_(text),
      max_tokens_(options.max_tokens),
      max_weight_(max_tokens_ * kWeightPerToken),
      overlap_weight_(uint64_t{options.overlap_tokens} * kWeightPerToken),
      tokens_(tokens),
      out_(out) {}

void ChunkPacker::Add(TextUnit unit) {
  if (!window_.empty() && !MayJoin(unit)) Flush();
  while (total_ + unit.weight > max_weight_) {
    uint64_t fresh = total_ - repeated_weight_;
    // Overlap gives way to a unit only where the chunk would else be poor in new text.
    if (fresh + unit.weight > max_weight_ || 2 * fresh >= max_weight_) {
      Emit(unit.cut);
    } else {
      DropFront();
    }
  }
  total_ += unit.weight;
  window_.push_back(std::move(unit));
}

bool ChunkPacker::MayJoin(const TextUnit& unit) const {
  const TextUnit& last = window_.back();
  if (unit.begin - last.end > kMaxGapBytes) return false;
  if (unit.section == last.section) return true;
  // Only deeper and deeper: an introduction with its first subsection, a title with its subtitle.
  return repeated_ < window_.size() && unit.section->level > last.section->level &&
         static_cast<double>(total_) < kSmallIntroduction * static_cast<double>(max_weight_);
}

size_t ChunkPacker::ChooseCut(uint64_t limit, CutPoint after) const {
  // best[i]: the last cut that rule i allows.
  size_t best[std::size(kCutRules)] = {};
  size_t last_fitting = repeated_ + 1;
  uint64_t fill = 0;
  for (size_t cut = 1; cut <= window_.size(); ++cut) {
    fill += window_[cut - 1].weight;
    if (cut <= repeated_) continue;
    if (fill > limit) break;
    last_fitting = cut;
    CutPoint here = cut < window_.size() ? window_[cut].cut : after;
    for (size_t i = 0; i < std::size(kCutRules); ++i) {
      double needed = kCutRules[i].min_fill * static_cast<double>(max_weight_);
      if (here >= kCutRules[i].at_least && static_cast<double>(fill) >= needed) best[i] = cut;
    }
  }
  for (size_t cut : best) {
    if (cut > 0) return cut;
  }
  return last_fitting;
}

void ChunkPacker::Emit(CutPoint after) {
  size_t cut = ChooseCut(max_weight_, after);
  CutChunk chunk;
  while (true) {
    chunk.span = {window_.front().begin, window_[cut - 1].end};
    chunk.token_count = tokens_(text_.substr(chunk.span.begin, chunk.span.end - chunk.span.begin));
    if (chunk.token_count <= max_tokens_ || cut == 1) break;
    // The whole counts more than the sum of its parts: give up overlap first, then the end.
    if (repeated_ > 0) {
      DropFront();
      --cut;
      continue;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < cut; ++i) sum += window_[i].weight;
    cut = std::min(cut - 1, ChooseCut(sum * max_tokens_ / chunk.token_count, after));
  }
  auto body =
      std::find_if(window_.begin(), window_.begin() + cut, [](const TextUnit& u) { return !u.heading; });
  chunk.section = (body != window_.begin() + cut ? *body : window_[cut - 1]).section->path;
  out_->push_back(std::move(chunk));
  KeepOverlap(cut);
}

void ChunkPacker::KeepOverlap(size_t cut) {
  size_t keep = cut;
  uint64_t weight = 0;
  // Never the whole chunk again, and nothing of another section than the cut's own. A heading is no
  // sentence to repeat: it stands in the section's path.
  while (keep > 1 && !window_[keep - 1].heading && weight + window_[keep - 1].weight <= overlap_weight_ &&
         (cut == window_.size() || window_[keep - 1].section == window_[cut].section)) {
    weight += window_[--keep].weight;
  }
  repeated_ = cut;
  repeated_weight_ = 0;
  for (size_t i = 0; i < cut; ++i) repeated_weight_ += window_[i].weight;
  while (repeated_ > cut - keep) DropFront();
}

void ChunkPacker::DropFront() {
  total_ -= window_.front().weight;
  repeated_weight_ -= window_.front().weight;
  window_.pop_front();
  --repeated_;
}

void ChunkPacker::Flush() {
  while (repeated_ < window_.size()) Emit(CutPoint::kHeading);
  window_.clear();
  repeated_ = 0;
  total_ = 0;
  repeated_weight_ = 0;
}

void ChunkPacker::Finish() { Flush(); }

}  // namespace larder
