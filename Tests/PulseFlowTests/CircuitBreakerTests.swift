// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct CircuitBreakerTests {
  @Test func opensAtTheThresholdAndTriesOnce() {
    var breaker = CircuitBreaker(threshold: 3, openTime: 30)
    breaker.failed(0)
    breaker.failed(1)
    #expect(breaker.state(1) == .closed && breaker.failures == 2)
    breaker.failed(2)
    #expect(breaker.state(2) == .open && breaker.retryAt == 32)
    #expect(breaker.state(31) == .open)
    #expect(breaker.state(32) == .halfOpen)
    breaker.attemptBegan(32)
    breaker.failed(40)
    #expect(breaker.state(69) == .open && breaker.retryAt == 70)
    breaker.attemptBegan(70)
    #expect(breaker.state(70) == .halfOpen)
    breaker.succeeded()
    #expect(breaker.state(70) == .closed && breaker.failures == 0)
    breaker.failed(71)
    #expect(breaker.state(71) == .closed)
  }

  @Test func aThresholdOfZeroNeverOpens() {
    var breaker = CircuitBreaker(threshold: 0, openTime: 30)
    for time in 0..<100 { breaker.failed(Int64(time)) }
    #expect(breaker.state(100) == .closed && breaker.failures == 100)
  }

  @Test func anAttemptThatDidNotWait() {
    var breaker = CircuitBreaker(threshold: 1, openTime: 30)
    breaker.failed(0)
    breaker.attemptBegan(5)
    #expect(breaker.state(5) == .open)
    breaker.failed(6)
    #expect(breaker.retryAt == 36)
    breaker.attemptBegan(7)
    breaker.succeeded()
    #expect(breaker.state(7) == .closed)
  }

  @Test func theEndsOfTimeDoNotTrap() {
    var breaker = CircuitBreaker(threshold: 1, openTime: .max)
    breaker.failed(.max)
    #expect(breaker.state(.max - 1) == .open)
    breaker.openTime = .min
    breaker.failed(.min)
    #expect(breaker.retryAt == .min)
  }

  @Test func names() {
    let states: [CircuitBreaker.State] = [.closed, .open, .halfOpen]
    #expect(states.map(\.name.description) == ["closed", "open", "half-open"])
  }

  /// The model looks at the whole history each time.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func agreesWithItsHistory(seed: UInt64) {
    var random = SeededRandom(seed)
    let threshold = random.below(5)
    let openTime = random.time(0...100)
    var breaker = CircuitBreaker(threshold: threshold, openTime: openTime)
    /// Failures since the last success, and the attempts behind the last of them.
    var failures: [Int64] = []
    var attempts: [Int64] = []
    var now: Int64 = 0
    for step in 0..<2000 {
      now += random.time(0...30)
      switch random.below(5) {
      case 0, 1:
        breaker.failed(now)
        failures.append(now)
        attempts = []
      case 2:
        if random.below(4) == 0 {
          breaker.succeeded()
          failures = []
          attempts = []
        }
      default:
        breaker.attemptBegan(now)
        attempts.append(now)
      }
      let expected: CircuitBreaker.State
      if threshold == 0 || failures.count < threshold {
        expected = .closed
      } else {
        let due = (failures.last ?? 0) + openTime
        expected = now >= due || attempts.contains { $0 >= due } ? .halfOpen : .open
      }
      let isRight = breaker.state(now) == expected && breaker.failures == failures.count
      if !isRight {
        Issue.record("seed \(seed), step \(step)")
        return
      }
    }
  }
}
