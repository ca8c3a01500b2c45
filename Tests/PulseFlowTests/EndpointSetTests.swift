// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// What became of an attempt.
private enum Outcome: CaseIterable { case failed, droppedEarly, lostLater, cancelled, ruledOut }

private func attempt(_ set: inout EndpointSet, _ now: Int64, _ outcome: Outcome) -> Int? {
  guard let index = set.choose(now) else { return nil }
  set.began(index, now)
  switch outcome {
  case .failed: set.failed(index, now)
  case .cancelled: set.cancelled(index)
  case .ruledOut: set.ruledOut(index, now)
  case .droppedEarly:
    set.succeeded(index, now)
    set.ended(index, now)
  case .lostLater:
    set.succeeded(index, now)
    set.stable(index)
    set.ended(index, now)
  }
  return index
}

/// One attempt in each unit of time.
private func course(_ set: inout EndpointSet, _ outcomes: [Outcome]) -> [Int?] {
  outcomes.enumerated().map { attempt(&set, Int64($0.offset), $0.element) }
}

@Suite struct EndpointSetTests {
  private static let table: [(Int, Int, Int64, [Outcome], [Int?])] = [
    // Failures go round without a breaker.
    (3, 0, 0, [.failed, .failed, .failed, .failed, .failed], [0, 1, 2, 0, 1]),
    (1, 0, 0, [.failed, .failed, .lostLater, .failed], [0, 0, 0, 0]),
    (0, 3, 10, [.failed, .failed], [nil, nil]),
    // A stable connection leads back to the preferred one, a short one does not.
    (3, 0, 0, [.failed, .lostLater, .failed, .failed], [0, 1, 0, 1]),
    (3, 0, 0, [.failed, .droppedEarly, .failed, .failed], [0, 1, 2, 0]),
    // What the application cancelled is tried again.
    (2, 0, 0, [.cancelled, .cancelled, .failed, .cancelled, .cancelled], [0, 0, 0, 1, 1]),
    // What no retry can mend is left out.
    (3, 0, 0, [.ruledOut, .failed, .failed, .failed, .ruledOut], [0, 1, 2, 1, 2]),
    (2, 0, 0, [.ruledOut, .ruledOut, .failed], [0, 1, nil]),
    // The breaker of 0 opens at time 2 and is due at 7.
    (
      2, 2, 5, [.failed, .lostLater, .failed, .lostLater, .lostLater, .lostLater, .lostLater, .lostLater],
      [0, 1, 0, 1, 1, 1, 1, 0]
    ),
    // Both are open: the one that is due first, at once.
    (2, 1, 100, [.failed, .failed, .failed, .failed, .lostLater, .failed, .failed], [0, 1, 0, 1, 0, 0, 1]),
    // Accepting and dropping opens a breaker as well.
    (2, 1, 100, [.droppedEarly, .lostLater, .lostLater], [0, 1, 1]),
  ]

  @Test(arguments: 0..<table.count) func courses(row: Int) {
    let (count, threshold, openTime, outcomes, expected) = EndpointSetTests.table[row]
    var set = EndpointSet(count: count, threshold: threshold, openTime: openTime)
    #expect(course(&set, outcomes) == expected)
  }

  @Test func healthIsRemembered() {
    var set = EndpointSet(count: 2, threshold: 3, openTime: 10)
    _ = course(&set, [.failed, .droppedEarly, .failed, .lostLater, .ruledOut])
    let first = set.health(0)
    #expect(first?.attempts == 3 && first?.failures == 3 && first?.connections == 0)
    #expect(first?.lastFailureAt == 4 && first?.isRuledOut == true)
    let other = set.health(1)
    #expect(other?.attempts == 2 && other?.failures == 1 && other?.connections == 2)
    #expect(other?.lastFailureAt == 1 && other?.breaker.failures == 0)
    set.resetRuledOut()
    #expect(set.choose(20) == 0)
  }

  @Test func currentIsWhatIsUnderWay() {
    var set = EndpointSet(count: 2, threshold: 3, openTime: 10)
    #expect(set.current == nil)
    set.began(1, 0)
    set.succeeded(1, 0)
    set.stable(1)
    #expect(set.current == 1)
    set.failed(0, 0)
    #expect(set.current == 1)
    set.ended(1, 0)
    #expect(set.current == nil)
  }

  @Test func aCancelledTrialLeavesTheBreakerToTheNext() {
    var set = EndpointSet(count: 2, threshold: 1, openTime: 10)
    set.failed(0, 0)
    set.began(0, 10)
    set.cancelled(0)
    #expect(set.health(0)?.breaker.state(10) == .halfOpen)
    #expect(set.health(0)?.breaker.failures == 1)
  }

  @Test func aBetterOneIsFoundWhenItWasQuiet() {
    var set = EndpointSet(count: 3, threshold: 2, openTime: 100)
    #expect(set.better(than: 2, 0, quiet: 50) == 0)
    #expect(set.better(than: 0, 0, quiet: 50) == nil)
    set.failed(0, 10)
    #expect(set.better(than: 1, 59, quiet: 50) == nil)
    #expect(set.better(than: 2, 59, quiet: 50) == 1)
    #expect(set.better(than: 1, 60, quiet: 50) == 0)
    set.failed(0, 70)
    #expect(set.better(than: 1, 169, quiet: 50) == nil)
    #expect(set.better(than: 1, 170, quiet: 50) == 0)
    set.ruledOut(0, 180)
    #expect(set.better(than: 1, 1000, quiet: 50) == nil)
  }

  @Test func numbersOutOfRangeDoNothing() {
    var set = EndpointSet(count: -3, threshold: -1, openTime: .min)
    for index in [Int.min, -1, 0, .max] {
      set.began(index, .min)
      set.succeeded(index, .max)
      set.stable(index)
      set.failed(index, .max)
      set.ended(index, 0)
      set.cancelled(index)
      set.ruledOut(index, 0)
      #expect(set.health(index) == nil && set.better(than: index, .max, quiet: .max) == nil)
    }
    #expect(set.count == 0 && set.current == nil)
  }

  /// The model spells the rules out with lists.
  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func agreesWithItsRules(seed: UInt64) {
    var random = SeededRandom(seed)
    let count = 1 + random.below(5)
    let threshold = random.below(4)
    let openTime = random.time(0...200)
    var set = EndpointSet(count: count, threshold: threshold, openTime: openTime)
    var round: [Int] = []
    var ruledOut: [Int] = []
    var failures = [[Int64]](repeating: [], count: count)
    var now: Int64 = 0
    func due(_ index: Int) -> Int64 { (failures[index].last ?? 0) + openTime }
    func isOpen(_ index: Int) -> Bool { threshold > 0 && failures[index].count >= threshold && now < due(index) }
    for step in 0..<3000 {
      now += random.time(0...40)
      let candidates = (0..<count).filter { !ruledOut.contains($0) }
      let usable = candidates.filter { !isOpen($0) }
      let fresh = usable.filter { !round.contains($0) }
      if fresh.isEmpty && !usable.isEmpty { round = [] }
      let expected = fresh.first ?? usable.first ?? candidates.min { (due($0), $0) < (due($1), $1) }
      let isLikelyBad = random.below(3) != 0
      var outcome: Outcome = isLikelyBad ? .failed : (Outcome.allCases.randomElement(using: &random) ?? .failed)
      if outcome == .ruledOut && random.below(4) != 0 { outcome = .lostLater }
      let chosen = attempt(&set, now, outcome)
      if chosen != expected {
        Issue.record("seed \(seed), step \(step): \(String(describing: chosen)), not \(String(describing: expected))")
        return
      }
      if let chosen {
        switch outcome {
        case .failed, .droppedEarly:
          failures[chosen].append(now)
          round.append(chosen)
        case .lostLater:
          failures[chosen] = []
          round = []
        case .ruledOut: ruledOut.append(chosen)
        case .cancelled: break
        }
      }
      if random.below(chosen == nil ? 3 : 100) == 0 {
        set.resetRuledOut()
        ruledOut = []
      }
    }
  }
}

struct EndpointSetRoundTests {
  @Test func untriedOnesAreThereUntilTheRoundIsOver() {
    var set = EndpointSet(count: 2, threshold: 5, openTime: second)
    #expect(set.hasUntried(0))
    set.failed(0, 0)
    #expect(set.hasUntried(0) && set.choose(0) == 1)
    set.failed(1, 0)
    #expect(!set.hasUntried(0))
    // A new round.
    #expect(set.choose(0) == 0 && set.hasUntried(0))
    set.ruledOut(0, 0)
    set.failed(1, 0)
    #expect(!set.hasUntried(0))
  }
}
