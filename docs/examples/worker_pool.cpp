// worker_pool: a pool of processes counts the words of files while it is being killed, and the
// counts come out right.
//
// Workers take chunks of the text and merge their counts into a table in shared memory: critical
// sections of many stores, guarded by locks that contend. The parent kills workers at random
// moments and while they hold a lock, and starts new ones. In the end the table must equal a plain
// count by one undisturbed process, word by word.
//
// Where to read first, in worker_pool/:
//   table.hpp       the shared table, and how a merge that stopped half way is rolled back or
//                   forward
//   shared.cpp      the segment, its queue and its locks, and the registration of the repairs
//   worker.cpp      what a worker does: nothing special, that is the point
//   parent.cpp      killing, and what a supervisor does after a death
#include <algorithm>
#include <cstdio>
#include <exception>
#include <system_error>

#include "worker_pool/options.hpp"
#include "worker_pool/parent.hpp"
#include "worker_pool/report.hpp"
#include "worker_pool/shared.hpp"
#include "worker_pool/text.hpp"

namespace {

using namespace pool;

enum exit_code {
  identical = 0,
  different = 1,
  wrong_usage = 2,
  system_failed = 3,
  was_interrupted = 130
};

text input_of(const options& wishes) {
  try {
    return read_text(wishes.paths);
  } catch (const std::system_error& error) {
    throw usage_error(error.what());
  }
}

int count(options wishes) {
  const text input = input_of(wishes);
  const word_counts plain = count_words(input.bytes);
  if (plain.empty()) throw usage_error("there is no word in these files");
  const auto shards = shards_for(plain);
  if (!shards)
    throw usage_error("there are too many distinct words in these files: " +
                      std::to_string(plain.size()));

  const auto chunks = cut(input.bytes);
  if (chunks.size() < wishes.workers) {
    // so that nobody ever waits for work: it would be killed doing nothing
    wishes.workers = static_cast<unsigned>(chunks.size());
    std::fprintf(stderr,
                 "worker_pool: the text has only %zu chunks, so there are as many workers\n",
                 chunks.size());
  }

  shared all(*shards);
  const figures done = parent(all, chunks, wishes).run();
  const auto differences = compare(all, plain, done.passes);

  const summary result{wishes, input, plain, chunks.size(), done, differences};
  print(result);
  if (!result.good()) print_differences(result, all.segment);
  if (wishes.json) print_json(result);
  return result.good() ? identical : different;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const options wishes = parse(argc, argv);
    if (!wishes.help) return count(wishes);
    std::fputs(usage(), stdout);
    return identical;
  } catch (const usage_error& error) {
    std::fprintf(stderr, "worker_pool: %s\nTry worker_pool --help.\n", error.what());
    return wrong_usage;
  } catch (const interrupted&) {
    std::fprintf(stderr, "worker_pool: interrupted; all workers are gone\n");
    return was_interrupted;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker_pool: %s\n", error.what());
    return system_failed;
  }
}
