// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct SequenceCheckTests {
  private func judge(_ rule: SequenceCheck.Rule, _ numbers: [(Int64, Int64, Int64?)]) -> [SequenceCheck.Verdict] {
    var check = SequenceCheck(rule: rule)
    return numbers.map { check.judge(0, first: $0.0, last: $0.1, previous: $0.2) }
  }

  @Test func consecutive() {
    #expect(
      judge(.consecutive, [(5, 5, nil), (6, 8, nil), (9, 9, nil), (12, 13, nil), (13, 13, nil), (4, 13, nil)])
        == [.first, .fine, .fine, .gap(expected: 10, missing: 2), .repeated, .repeated])
    #expect(
      judge(.consecutive, [(5, 9, nil), (3, 4, nil), (10, 10, nil), (9, 12, nil), (13, 13, nil), (13, 12, nil)])
        == [.first, .stepBack(last: 9), .fine, .stepBack(last: 10), .fine, .repeated])
    #expect(
      judge(.consecutive, [(.max, .max, nil), (.max, .max, nil), (0, 0, nil)])
        == [.first, .repeated, .stepBack(last: .max)])
    #expect(judge(.consecutive, [(0, 0, nil), (.max, .max, nil)]) == [.first, .gap(expected: 1, missing: .max - 1)])
  }

  @Test func increasing() {
    #expect(
      judge(.increasing, [(5, 5, nil), (600, 800, nil), (800, 800, nil), (7, 7, nil), (700, 900, nil), (901, 901, nil)])
        == [.first, .fine, .repeated, .stepBack(last: 800), .stepBack(last: 800), .fine])
  }

  @Test func previous() {
    #expect(
      judge(.previous, [(5, 9, 1), (20, 30, 9), (50, 60, 40), (60, 60, 40), (20, 30, 9), (55, 70, 50), (80, 90, 70)])
        == [
          .first, .fine, .gap(expected: 30, missing: -1), .repeated, .stepBack(last: 60), .stepBack(last: 60), .fine,
        ])
    // Nothing new, a number anew, and a snapshot.
    #expect(
      judge(.previous, [(9, 9, 1), (9, 9, 9), (3, 3, 9), (5, 5, 3), (100, 100, nil), (7, 7, nil), (8, 8, 7)])
        == [.first, .fine, .fine, .fine, .first, .first, .fine])
  }

  @Test func keysDoNotMix() {
    var check = SequenceCheck(rule: .consecutive)
    #expect(check.judge(-1, first: 1, last: 1, previous: nil) == .first)
    #expect(check.judge(-1, first: 1, last: 1, previous: nil) == .first)
    for key in [0, 7, 3] { #expect(check.judge(key, first: Int64(key), last: Int64(key), previous: nil) == .first) }
    for key in [3, 0, 7] {
      #expect(check.last(key) == Int64(key))
      #expect(check.judge(key, first: Int64(key + 1), last: Int64(key + 1), previous: nil) == .fine)
    }
    #expect(check.last(1) == nil && check.last(8) == nil && check.last(-1) == nil)
    check.reset()
    #expect(check.last(0) == nil && check.judge(0, first: 1, last: 1, previous: nil) == .first)
  }

  /// The verdicts of the rule in words, over numbers near each other.
  @Test func agreesWithTheRule() {
    var random = SeededRandom(9)
    var check = SequenceCheck(rule: .consecutive)
    var last: Int64 = -1
    for _ in 0..<20_000 {
      let first = random.time(0...20)
      let end = first + random.time(0...2)
      let verdict = check.judge(0, first: first, last: end, previous: nil)
      if last < 0 {
        #expect(verdict == .first)
      } else if first == last + 1 {
        #expect(verdict == .fine)
      } else if first > last {
        #expect(verdict == .gap(expected: last + 1, missing: first - last - 1))
      } else {
        #expect(verdict == (end == last ? .repeated : .stepBack(last: last)))
      }
      last = max(last, end)
      #expect(check.last(0) == last)
      if random.below(15) == 0 {
        check.reset()
        last = -1
      }
    }
  }
}
