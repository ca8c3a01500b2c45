// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct RateLimiterTests {
  @Test func aWindowLetsItsCountPass() {
    var limiter = RateLimiter(windows: [RateWindow(count: 2, duration: second)])
    #expect(limiter.admit(0) == true)
    #expect(limiter.admit(400 * millisecond) == true)
    #expect(limiter.admit(999 * millisecond) == false)
    #expect(limiter.readyAt(999 * millisecond) == second)
    #expect(limiter.admit(second) == true)
    #expect(limiter.admit(second) == false)
    #expect(limiter.readyAt(second) == 1400 * millisecond)
    limiter.reset()
    #expect(limiter.readyAt(second) == second)
  }

  @Test func theStrictestOfSeveralWindowsDecides() {
    var limiter = RateLimiter(windows: [
      RateWindow(count: 100, duration: 60 * second), RateWindow(count: 5, duration: second),
    ])
    var now: Int64 = 0
    for index in 0..<100 {
      now = limiter.readyAt(now)
      #expect(now == Int64(index / 5) * second)
      #expect(limiter.admit(now) == true)
    }
    #expect(limiter.readyAt(now) == 60 * second)
  }

  @Test func whatMustGoIsCounted() {
    var limiter = RateLimiter(windows: [RateWindow(count: 2, duration: second)])
    for _ in 0..<10 { limiter.note(500) }
    #expect(limiter.readyAt(600) == 500 + second)
    #expect(limiter.admit(499 + second) == false)
    #expect(limiter.admit(500 + second) == true)
    limiter.note(501 + second)
    limiter.note(502 + second)
    #expect(limiter.readyAt(503 + second) == 501 + 2 * second)
  }

  @Test func withoutWindowsEverythingPasses() {
    var limiter = RateLimiter()
    #expect(limiter.isUnlimited)
    for _ in 0..<1000 { #expect(limiter.admit(0) == true) }
    limiter.note(0)
    #expect(limiter.readyAt(-5) == -5)
  }

  @Test func theEndsOfTimeDoNotTrap() {
    var limiter = RateLimiter(windows: [RateWindow(count: 1, duration: .max), RateWindow(count: -4, duration: -9)])
    #expect(limiter.admit(.min) == true)
    #expect(limiter.admit(.min) == false)
    #expect(limiter.admit(.max - 1) == true)
    #expect(limiter.admit(.max - 1) == false)
    #expect(limiter.readyAt(.max - 1) == .max)
    limiter.note(.max)
    limiter.note(.min)
  }

  @Test func aClockThatStepsBackFreesNothing() {
    var limiter = RateLimiter(windows: [RateWindow(count: 2, duration: second)])
    #expect(limiter.admit(10 * second) == true)
    #expect(limiter.admit(5 * second) == true)
    #expect(limiter.admit(5 * second) == false)
    #expect(limiter.admit(11 * second - 1) == false)
    #expect(limiter.admit(11 * second) == true)
  }

  /// The model keeps every time for ever and counts those in each window.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func agreesWithCounting(seed: UInt64) {
    var random = SeededRandom(seed)
    var windows: [RateWindow] = []
    for _ in 0...random.below(3) {
      windows.append(RateWindow(count: 1 + random.below(random.below(2) == 0 ? 4 : 60), duration: random.time(1...400)))
    }
    var limiter = RateLimiter(windows: windows)
    var taken: [Int64] = []
    func fits(_ time: Int64) -> Bool {
      windows.allSatisfy { window in taken.filter { $0 > time - window.duration }.count < window.count }
    }
    var now = random.time(-1000...1000)
    for step in 0..<3000 {
      now += random.below(3) == 0 ? random.time(0...50) : (random.below(20) == 0 ? random.time(0...900) : 0)
      let isRight: Bool
      switch random.below(12) {
      case 0:
        limiter.note(now)
        taken.append(now)
        isRight = true
      case 1, 2:
        let ready = limiter.readyAt(now)
        isRight = ready >= now && fits(ready) && (ready == now || !fits(ready - 1))
      default:
        let admitted = limiter.admit(now)
        isRight = admitted == fits(now)
        if admitted { taken.append(now) }
      }
      if taken.count > 200 { taken.removeFirst(taken.count - 200) }
      if !isRight {
        Issue.record("seed \(seed), step \(step), windows \(windows)")
        return
      }
    }
  }

  @Test func memoryGrowsWithUseUpToTheCount() {
    var ring = SlotRing()
    for time in 0..<5 { ring.take(Int64(time), count: 100_000, duration: 1000) }
    #expect(ring.capacity == 16)
    for time in 0..<100_000 { ring.take(Int64(time), count: 100_000, duration: 1000) }
    #expect(ring.capacity == 1024)
    for _ in 0..<100_000 { ring.take(2_000_000, count: 3000, duration: 1000) }
    #expect(ring.capacity <= 3000 && ring.used == 3000)
    var small = SlotRing()
    for time in 0..<100 { small.take(Int64(time), count: 3, duration: 1000) }
    #expect(small.capacity == 3)
  }

  @Test(arguments: [
    ("100/60s", 100, 60 * second), ("5/1s", 5, second), ("300/5m", 300, 300 * second), ("10/s", 10, second),
    ("20/500ms", 20, 500 * millisecond), ("1/1ms", 1, millisecond), ("100000/1d", 100_000, 86_400 * second),
    ("7/24h", 7, 86_400 * second), ("7/86400s", 7, 86_400 * second), ("007/m", 7, 60 * second),
    ("1/86400000ms", 1, 86_400 * second),
  ])
  func reads(text: String, count: Int, duration: Int64) {
    #expect(RateLimiter.parse(text) == RateWindow(count: count, duration: duration))
  }

  @Test(arguments: [
    "", "/", "1", "1/", "/s", "1/1", "0/s", "1/0s", "100001/s", "1/25h", "1/2d", "1/86401s", "1/86400001ms", "-1/s",
    "+1/s", "1/-1s", "1 /s", "1/ s", " 1/s", "1/s ", "1//s", "1/s/s", "1/1us", "1/1ns", "1/sm", "1/mss", "1/S", "1.5/s",
    "1/1.5s", "1/s1", "1e3/s", "99999999999999999999/s", "1/99999999999999999999s", "0000001/s", "१/s", "1/sec",
    "1\u{0}/s", "1/s\u{0}",
  ])
  func refuses(text: String) {
    #expect(RateLimiter.parse(text) == nil)
  }
}
