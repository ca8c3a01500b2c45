// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Keeps attempts away from what failed several times in a row. When its time is over, one attempt is a trial: it
/// closes the breaker or opens it again.
package struct CircuitBreaker {
  package enum State: Int32, Sendable {
    case closed = 0
    case open, halfOpen

    package var name: Literal {
      switch self {
      case .closed: "closed"
      case .open: "open"
      case .halfOpen: "half-open"
      }
    }
  }

  /// Failures in a row that open it; 0: it never opens.
  package var threshold: Int
  package var openTime: Int64
  /// Failures since the last success.
  package private(set) var failures = 0
  /// When an open one lets the next attempt through.
  package private(set) var retryAt: Int64 = 0
  private var isOpen = false
  private var isTrial = false

  package init(threshold: Int, openTime: Int64) {
    self.threshold = threshold
    self.openTime = openTime
  }

  /// An open one whose time is over is half-open: the next attempt is its trial.
  package func state(_ now: Int64) -> State {
    if !isOpen { return .closed }
    return isTrial || now >= retryAt ? .halfOpen : .open
  }

  /// An attempt that does not wait for the breaker (there was nothing better) leaves an open one open.
  package mutating func attemptBegan(_ now: Int64) {
    if isOpen && now >= retryAt { isTrial = true }
  }

  package mutating func succeeded() {
    failures = 0
    isOpen = false
    isTrial = false
  }

  package mutating func failed(_ now: Int64) {
    if failures < Int.max { failures += 1 }
    if isOpen || (threshold > 0 && failures >= threshold) {
      isOpen = true
      isTrial = false
      retryAt = saturatingSum(now, max(0, openTime))
    }
  }

  /// The trial ended without a result (the application cancelled it): the next attempt is one.
  package mutating func abandoned() { isTrial = false }
}
