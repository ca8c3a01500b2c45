// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// Hands messages to a merge and keeps what comes out.
private final class Feed {
  let merge: FeedMerge
  var now: Int64 = 0
  var out: [Int: [Int64]] = [:]
  var sides: [Int] = []
  var longestWait: Int64 = 0

  init(_ rule: SequenceCheck.Rule = .consecutive, wait: Int64 = 50, limit: Int = 1 << 20, ready: Bool = true) {
    merge = FeedMerge(rule: rule, wait: wait, limit: limit)
    merge.setReady(0, ready)
    merge.setReady(1, ready)
  }

  @discardableResult
  func offer(_ side: Int, _ first: Int64, _ last: Int64? = nil, previous: Int64? = nil, key: Int = 0)
    -> FeedMerge.Verdict
  {
    let number = FeedNumber(key: key, first: first, last: last ?? first, previous: previous)
    let verdict = withExact(bytes("\(key):\(first)")) {
      merge.offer(side: side, number, now: now, kind: 1, flags: 2, payload: $0, receivedAt: now)
    }
    if verdict == .deliver {
      out[key, default: []].append(first)
      sides.append(side)
    }
    drain()
    return verdict
  }

  func drain() {
    while let parked = merge.release(now) {
      #expect(Array(parked.payload) == bytes("\(parked.number.key):\(parked.number.first)") && parked.kind == 1)
      out[parked.number.key, default: []].append(parked.number.first)
      sides.append(parked.side)
      longestWait = max(longestWait, now - parked.receivedAt)
    }
  }

  func pass(to time: Int64) {
    while let deadline = merge.nextDeadline, deadline <= time {
      now = max(now, deadline)
      drain()
    }
    now = max(now, time)
  }
}

@Suite struct FeedMergeTests {
  @Test func theFirstCopyCounts() {
    let feed = Feed()
    #expect(feed.offer(0, 1) == .deliver && feed.offer(1, 1) == .duplicate && feed.offer(1, 2) == .deliver)
    #expect(feed.offer(0, 2) == .duplicate && feed.offer(0, 3) == .deliver)
    #expect(feed.merge.firsts == (2, 1) && feed.merge.duplicates == 2 && feed.merge.parkedCount == 0)
    #expect(feed.offer(0, 1, key: 1) == .deliver)
  }

  @Test func theOtherSideFillsAGap() {
    let feed = Feed()
    feed.offer(0, 1)
    #expect(feed.offer(0, 3) == .parked && feed.offer(0, 4) == .parked)
    #expect(feed.merge.nextDeadline == 50)
    #expect(feed.offer(1, 1) == .duplicate && feed.offer(1, 2) == .deliver)
    #expect(feed.out[0] == [1, 2, 3, 4] && feed.sides == [0, 1, 0, 0])
    #expect(feed.merge.filled == 1 && feed.merge.nextDeadline == nil && feed.merge.parkedBytes == 0)
  }

  @Test func aGapOfBothIsNotWaitedFor() {
    let feed = Feed()
    feed.offer(0, 1)
    #expect(feed.offer(0, 3) == .parked && feed.offer(1, 3) == .duplicate)
    #expect(feed.out[0] == [1, 3])
    #expect(feed.offer(0, 7) == .parked && feed.offer(1, 5) == .parked)
    #expect(feed.out[0] == [1, 3, 5])
    #expect(feed.offer(1, 6) == .deliver)
    #expect(feed.out[0] == [1, 3, 5, 6, 7] && feed.merge.parkedCount == 0)
  }

  @Test func theWaitEnds() {
    let feed = Feed()
    feed.offer(0, 1)
    feed.offer(0, 3)
    feed.pass(to: 49)
    #expect(feed.out[0] == [1])
    feed.pass(to: 50)
    #expect(feed.out[0] == [1, 3] && feed.offer(1, 2) == .duplicate)
    // The other side ends, or is not there.
    feed.offer(0, 5)
    feed.merge.setReady(1, false)
    feed.drain()
    #expect(feed.out[0] == [1, 3, 5] && feed.offer(0, 9) == .deliver)
    let none = Feed(wait: 0)
    none.offer(0, 1)
    #expect(none.offer(0, 3) == .deliver)
  }

  @Test func whatWaitsForASideThatStaysStays() {
    let feed = Feed()
    feed.offer(1, 1)
    feed.offer(1, 3)
    feed.merge.setReady(1, false)
    feed.drain()
    #expect(feed.out[0] == [1])
    feed.offer(0, 2)
    #expect(feed.out[0] == [1, 2, 3])
  }

  @Test func memoryIsBounded() {
    let feed = Feed(limit: 1000)
    feed.offer(0, 1)
    for number in 3..<100 {
      feed.offer(0, Int64(number))
      #expect(feed.merge.parkedBytes <= 1000)
    }
    #expect(feed.out[0] == [1] + (3..<100).map { Int64($0) })
  }

  @Test func otherRules() {
    let increasing = Feed(.increasing)
    #expect(increasing.offer(0, 5) == .deliver && increasing.offer(0, 50) == .deliver)
    #expect(increasing.offer(1, 5) == .duplicate && increasing.offer(1, 70) == .deliver)
    let previous = Feed(.previous)
    #expect(previous.offer(0, 5, 9) == .deliver && previous.offer(0, 20, 29, previous: 9) == .deliver)
    #expect(previous.offer(1, 20, 29, previous: 9) == .duplicate)
    #expect(previous.offer(0, 50, 59, previous: 40) == .parked && previous.offer(0, 60, 69, previous: 59) == .parked)
    #expect(previous.offer(1, 30, 40, previous: 29) == .deliver)
    #expect(previous.out[0] == [5, 20, 30, 50, 60])
    #expect(previous.offer(0, 3, previous: 69) == .deliver && previous.offer(0, 4, previous: 3) == .deliver)
    #expect(previous.offer(1, 3, previous: 69) == .duplicate)
  }

  @Test func aFeedThatBeginsAnewIsNotMute() {
    // On the same connections.
    let feed = Feed()
    for number in 1000...1010 {
      feed.offer(0, Int64(number))
      feed.offer(1, Int64(number))
    }
    for number in 1...100 {
      feed.offer(0, Int64(number))
      feed.offer(1, Int64(number))
    }
    #expect(Array(feed.out[0]!.suffix(80)) == (21...100).map { Int64($0) })
    // After both have ended.
    for side in 0...1 { feed.merge.setReady(side, false) }
    for side in 0...1 { feed.merge.setReady(side, true) }
    #expect(feed.offer(0, 3) == .deliver && feed.offer(1, 3) == .duplicate && feed.offer(1, 4) == .deliver)
    // One after the other, while the numbers before are still high.
    feed.offer(1, 1000)
    feed.pass(to: 60)
    feed.merge.setReady(0, false)
    feed.merge.setReady(0, true)
    #expect(feed.offer(0, 1) == .duplicate)
    feed.merge.setReady(1, false)
    feed.now += FeedMerge.restartTime + 1
    #expect(feed.offer(0, 2) == .deliver && feed.offer(0, 3) == .deliver)
  }

  /// A side that comes back brings again what it had brought of a key that is quiet.
  @Test func aReplayIsNoNewBeginning() {
    let feed = Feed()
    for number in 1...100 {
      feed.offer(0, Int64(number))
      feed.offer(1, Int64(number))
    }
    for isRenewed in [false, true] {
      feed.now += 6 * FeedMerge.restartTime
      if isRenewed {
        feed.merge.renew(1)
      } else {
        feed.merge.setReady(1, false)
        feed.merge.setReady(1, true)
      }
      for number in 90...100 { #expect(feed.offer(1, Int64(number)) == .duplicate) }
    }
    #expect(feed.offer(0, 101) == .deliver && feed.offer(1, 101) == .duplicate)
    #expect(feed.out[0] == (1...101).map { Int64($0) })
    // One that is behind for so long, with nothing from the other side, has begun anew.
    feed.merge.renew(1)
    #expect(feed.offer(1, 1) == .duplicate)
    feed.now += FeedMerge.restartTime + 1
    #expect(feed.offer(1, 2) == .deliver && feed.offer(1, 3) == .deliver)
  }

  @Test func unnumbered() {
    let feed = Feed()
    #expect(feed.merge.takesUnnumbered(0) && !feed.merge.takesUnnumbered(1))
    #expect(feed.offer(0, 1, key: -1) == .deliver && feed.offer(1, 1, key: -1) == .duplicate)
    feed.merge.setReady(0, false)
    #expect(!feed.merge.takesUnnumbered(0) && feed.merge.takesUnnumbered(1))
  }

  /// Two sides that lose and delay what they bring. What one of them brings in time comes once and in order.
  @Test(arguments: 1...12)
  func agreesWithWhatTheSidesBrought(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    let losesBoth = seed % 3 == 0
    let isSlow = seed % 4 == 0
    let feed = Feed(wait: 100)
    var arrivals: [(time: Int64, side: Int, key: Int, number: Int64)] = []
    var brought: [Int: Set<Int64>] = [:]
    for key in 0..<3 {
      for side in 0...1 {
        var lag: Int64 = 0
        for number in 1...1500 as ClosedRange<Int64> {
          lag = max(0, lag + random.time(-8...8))
          lag = min(lag, isSlow ? 500 : 80)
          // Of the first, and where nothing is lost by both, one side has each.
          let loss = number == 1 || (!losesBoth && number % 2 == Int64(side)) ? 0 : 4
          if loss > 0 && random.below(loss) == 0 { continue }
          // In order: an earlier one with a longer lag delays it.
          let time = max(number * 10 + lag, arrivals.last.map { $0.side == side && $0.key == key ? $0.time : 0 } ?? 0)
          arrivals.append((time, side, key, number))
          brought[key, default: []].insert(number)
        }
      }
    }
    arrivals.sort { $0.time != $1.time ? $0.time < $1.time : $0.number < $1.number }
    for arrival in arrivals {
      feed.pass(to: arrival.time)
      feed.offer(arrival.side, arrival.number, key: arrival.key)
    }
    feed.pass(to: feed.now + 200)
    #expect(feed.merge.parkedCount == 0 && feed.merge.parkedBytes == 0 && feed.longestWait <= 100)
    let total = UInt64(arrivals.count)
    let firsts = feed.merge.firsts.0 + feed.merge.firsts.1
    #expect(firsts + feed.merge.duplicates == total)
    for key in 0..<3 {
      let out = feed.out[key] ?? []
      #expect(zip(out, out.dropFirst()).allSatisfy { $0 < $1 })
      if !isSlow { #expect(out == brought[key]!.sorted(), "seed \(seed)") }
      #expect(out.count > 700)
    }
    if !losesBoth && !isSlow { #expect(feed.out[0]?.count == 1500 && feed.merge.filled > 50) }
  }

  /// Anything at all: each message has one fate, and nothing stays behind.
  @Test(arguments: [SequenceCheck.Rule.consecutive, .increasing, .previous])
  func eachMessageHasOneFate(rule: SequenceCheck.Rule) {
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededRandom(seed)
      let feed = Feed(rule, wait: 30, limit: 3000)
      var offered = 0
      for _ in 0..<3000 {
        feed.pass(to: feed.now + random.time(0...4))
        switch random.below(60) {
        case 0: feed.merge.setReady(random.below(2), random.below(3) > 0)
        case 1: feed.merge.renew(random.below(2))
        default:
          let first = random.time(0...60)
          feed.offer(
            random.below(2), first, first + random.time(0...2),
            previous: random.below(5) == 0 ? nil : max(0, first - random.time(0...3)), key: random.below(4))
          offered += 1
        }
        feed.drain()
        #expect(feed.merge.parkedBytes <= 3000)
      }
      feed.pass(to: feed.now + 100)
      feed.drain()
      #expect(feed.merge.parkedCount == 0)
      let delivered = feed.out.values.reduce(0) { $0 + $1.count }
      #expect(delivered + Int(feed.merge.duplicates) == offered)
    }
  }
}
