#include "storage/extent_batch_read.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "storage/crc32c.h"
#include "storage/extent_format.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

// A queue over bytes in memory that finishes reads in any order, short, or not at all at first.
class UnrulyQueue : public ReadQueue {
 public:
  UnrulyQueue(std::string file, uint32_t slots, uint32_t slot_bytes, uint64_t seed)
      : ReadQueue(*ReadBuffers::Make(slots, slot_bytes)), file_(std::move(file)), random_(seed) {}

  absl::Status Submit(uint32_t slot, int, uint64_t offset, uint32_t slot_offset, uint32_t length) override {
    EXPECT_LE(slot_offset + length, buffers().slot_bytes());
    for (const Read& read : reads_) EXPECT_NE(read.slot, slot) << "the slot is busy";
    reads_.push_back({slot, offset, slot_offset, length});
    return absl::OkStatus();
  }

  absl::Status Wait(std::vector<Completion>* done) override {
    EXPECT_FALSE(reads_.empty());
    seen_in_flight.push_back(reads_.size());
    if (fail_after >= 0 && waits_++ >= fail_after) return absl::UnavailableError("the queue broke");
    std::shuffle(reads_.begin(), reads_.end(), random_);
    const Read read = reads_.back();
    reads_.pop_back();
    done->push_back({.slot = read.slot, .result = Result(read)});
    return absl::OkStatus();
  }

  size_t in_flight() const { return reads_.size(); }

  std::vector<size_t> seen_in_flight;  // at each Wait
  int fail_after = -1;                 // Waits
  int error = 0;           // of every read
  bool unruly = true;      // may be short, or ask to be tried again
  bool any_short = false;  // may end off a block, as reads through the page cache may

 private:
  struct Read {
    uint32_t slot;
    uint64_t offset;
    uint32_t slot_offset, length;
  };
  int32_t Result(const Read& read) {
    if (error != 0) return -error;
    if (unruly && random_() % 8 == 0) return random_() % 2 == 0 ? -EAGAIN : -EINTR;
    uint64_t length =
        read.offset >= file_.size() ? 0 : std::min<uint64_t>(read.length, file_.size() - read.offset);
    if (unruly && random_() % 4 == 0 && length > 4096) length = any_short ? 1 + random_() % length : 4096;
    if (length > 0) file_.copy(buffers().slot(read.slot) + read.slot_offset, length, read.offset);
    return static_cast<int32_t>(length);
  }

  const std::string file_;
  std::mt19937_64 random_;
  std::vector<Read> reads_;
  int waits_ = 0;
};

struct Sample {
  std::string file;
  std::vector<ExtentPointer> pointers;
  std::vector<std::string> payloads;
};

Sample MakeSample(uint64_t seed) {
  std::mt19937_64 random(seed);
  Sample sample;
  sample.file = EncodeExtentFileHeader(1);
  for (const size_t size : {0, 1, 4096, 4097, 12000, 16384, 16385, 100000, 500, 131072}) {
    std::string payload = RandomBytes(random, size);
    sample.pointers.push_back(
        {.file = 1, .offset = sample.file.size(), .length = size, .crc32c = Crc32c(payload)});
    sample.file += payload;
    sample.file.resize(ExtentEnd(sample.pointers.back()), '\0');
    sample.payloads.push_back(std::move(payload));
  }
  return sample;
}

class ExtentBatchReadTest : public testing::Test {
 protected:
  std::shared_ptr<const ReadHandle> Handle(bool direct) {
    auto handle = std::make_shared<ReadHandle>();
    handle->direct = direct;
    return handle;
  }
  std::vector<absl::StatusOr<std::string>> Read(UnrulyQueue& queue, const Sample& sample, bool direct = false,
                                                bool check_padding = false) {
    ExtentBatchRead batch(&queue, &fds_, check_padding);
    for (const ExtentPointer& pointer : sample.pointers) batch.Add(pointer, Handle(direct));
    std::vector<absl::StatusOr<std::string>> results;
    run_ = batch.Run([&](size_t index, absl::StatusOr<std::string> payload) {
      EXPECT_EQ(index, results.size()) << "out of order";
      results.push_back(std::move(payload));
      return results.size() < stop_after_;
    });
    return results;
  }

  TestDirectory directory_;
  ExtentFds fds_{ExtentSystem::Posix(), directory_.path("."), true, 8};
  absl::Status run_;
  size_t stop_after_ = 1'000;  // extents
};

TEST_F(ExtentBatchReadTest, PutsThePiecesTogetherWhateverTheirOrder) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Sample sample = MakeSample(seed);
    UnrulyQueue queue(sample.file, /*slots=*/1 + seed % 5, /*slot_bytes=*/16384, seed);
    const bool direct = seed % 2 == 0;
    queue.any_short = !direct;
    const auto results = Read(queue, sample, direct, /*check_padding=*/seed % 3 == 0);
    for (size_t i = 0; i < results.size(); ++i) {
      ASSERT_TRUE(results[i].ok()) << "seed " << seed << ": " << results[i].status();
      ASSERT_EQ(*results[i], sample.payloads[i]) << "seed " << seed << ", extent " << i;
    }
  }
}

TEST_F(ExtentBatchReadTest, HandsOverWhatIsThereWhileTheRestIsRead) {
  const Sample sample = MakeSample(1);
  UnrulyQueue queue(sample.file, 2, 16384, 1);
  ExtentBatchRead batch(&queue, &fds_, false);
  for (const ExtentPointer& pointer : sample.pointers) batch.Add(pointer, Handle(false));
  size_t taken = 0;
  const auto sink = [&](size_t index, absl::StatusOr<std::string> payload) {
    EXPECT_EQ(*payload, sample.payloads[index]);
    if (index + 2 < sample.pointers.size()) {
      EXPECT_GT(queue.in_flight(), 0u) << "extent " << index;
    }
    return ++taken < sample.pointers.size();
  };
  EXPECT_TRUE(batch.Run(sink).ok());
  EXPECT_EQ(taken, sample.pointers.size());
}

TEST_F(ExtentBatchReadTest, HasFewPiecesInFlightUntilTheFirstExtentIsThere) {
  const Sample sample = MakeSample(1);
  UnrulyQueue queue(sample.file, 16, 4096, 1);
  queue.unruly = false;
  ExtentBatchRead batch(&queue, &fds_, false, /*first_pieces=*/2);
  for (const ExtentPointer& pointer : sample.pointers) batch.Add(pointer, Handle(false));
  EXPECT_TRUE(batch.Run([](size_t, const absl::StatusOr<std::string>&) { return true; }).ok());
  const std::vector<size_t>& seen = queue.seen_in_flight;
  EXPECT_EQ(seen.front(), 2u);
  const auto filled = std::find_if(seen.begin(), seen.end(), [](size_t count) { return count != 2; });
  ASSERT_NE(filled, seen.end());
  EXPECT_EQ(*filled, 16u);
}

TEST_F(ExtentBatchReadTest, StopsWhenTheSinkHasEnoughAndLeavesTheQueueIdle) {
  const Sample sample = MakeSample(6);
  for (stop_after_ = 1; stop_after_ <= sample.pointers.size(); ++stop_after_) {
    UnrulyQueue queue(sample.file, 4, 16384, stop_after_);
    EXPECT_EQ(Read(queue, sample).size(), stop_after_);
    EXPECT_TRUE(run_.ok());
    EXPECT_EQ(queue.in_flight(), 0u);
  }
}

TEST_F(ExtentBatchReadTest, ADamagedExtentDoesNotHarmTheOthers) {
  Sample sample = MakeSample(1);
  sample.file[sample.pointers[7].offset + 50000] ^= 1;
  UnrulyQueue queue(sample.file, 3, 16384, 1);
  const auto results = Read(queue, sample);
  for (size_t i = 0; i < results.size(); ++i) {
    if (i != 7) {
      EXPECT_EQ(*results[i], sample.payloads[i]);
    }
  }
  EXPECT_EQ(results[7].status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(results[7].status().message().find("000001.ext: extent at offset 73728 (100000 bytes): crc32c "),
            std::string::npos)
      << results[7].status();
}

TEST_F(ExtentBatchReadTest, AFileThatEndsEarlyIsDataLossOnlyForWhatItCuts) {
  Sample sample = MakeSample(2);
  const ExtentPointer last = sample.pointers.back();
  for (const uint64_t size :
       {last.offset + last.length - 1, last.offset + 16384, last.offset + 1, last.offset}) {
    for (const bool direct : {false, true}) {
      UnrulyQueue queue(sample.file.substr(0, size), 3, 16384, 1);
      const auto results = Read(queue, sample, direct);
      EXPECT_EQ(*results[8], sample.payloads[8]);
      EXPECT_EQ(results[9].status().code(), absl::StatusCode::kDataLoss) << size;
      EXPECT_NE(results[9].status().message().find("the file ends at byte"), std::string::npos)
          << results[9].status();
    }
  }
}

TEST_F(ExtentBatchReadTest, PaddingMattersOnlyWhenItIsChecked) {
  Sample sample = MakeSample(3);
  sample.file[sample.pointers[8].offset + 4000] = 'x';
  for (const bool check : {false, true}) {
    UnrulyQueue queue(sample.file, 3, 16384, 1);
    const auto results = Read(queue, sample, false, check);
    EXPECT_EQ(results[8].ok(), !check);
  }
  // Cut in the padding of the last but one.
  sample.pointers.pop_back();
  const uint64_t end = sample.pointers.back().offset + sample.pointers.back().length;
  for (const bool check : {false, true}) {
    UnrulyQueue queue(sample.file.substr(0, end), 3, 16384, 1);
    EXPECT_EQ(Read(queue, sample, true, check)[8].ok(), !check);
  }
}

TEST_F(ExtentBatchReadTest, ReadErrorsAndABrokenQueueAreUnavailable) {
  const Sample sample = MakeSample(4);
  UnrulyQueue failing(sample.file, 3, 16384, 1);
  failing.error = EIO;
  for (const auto& result : Read(failing, sample))
    EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(run_.ok());

  UnrulyQueue breaking(sample.file, 3, 16384, 1);
  breaking.fail_after = 5;
  const auto results = Read(breaking, sample);
  EXPECT_EQ(run_.code(), absl::StatusCode::kUnavailable);
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) {
      EXPECT_EQ(*results[i], sample.payloads[i]);
    } else {
      EXPECT_EQ(results[i].status(), run_);
    }
  }
  EXPECT_FALSE(results.back().ok());
}

TEST_F(ExtentBatchReadTest, ODirectThatIsRefusedAtTheReadIsGivenUp) {
  directory_.Write("000001.ext", "anything: the queue does not look");
  const Sample sample = MakeSample(5);
  // Refuses until the batch has a handle without O_DIRECT.
  class Refusing : public UnrulyQueue {
   public:
    using UnrulyQueue::UnrulyQueue;
    absl::Status Submit(uint32_t slot, int fd, uint64_t offset, uint32_t slot_offset,
                        uint32_t length) override {
      error = fd < 0 ? EINVAL : 0;
      return UnrulyQueue::Submit(slot, fd, offset, slot_offset, length);
    }
  };
  Refusing queue(sample.file, 1, 16384, 1);
  const auto results = Read(queue, sample, /*direct=*/true);
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].ok()) << results[i].status();
    EXPECT_EQ(*results[i], sample.payloads[i]);
  }
  EXPECT_FALSE(fds_.direct());
}

}  // namespace
}  // namespace larder::storage
