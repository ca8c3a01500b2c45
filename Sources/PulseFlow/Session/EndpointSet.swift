// SPDX-License-Identifier: Apache-2.0

/// The servers that a client may use, in the order of preference, with a memory of how they did.
///
/// 1. A round is the time since the last stable connection, or since every usable endpoint failed once in it.
/// 2. An attempt goes to the first endpoint that is usable and did not fail in this round; when there is none, a new
///    round begins with the most preferred one. So failures move down the list, and stability leads back to its head.
/// 3. Usable is what is not ruled out and whose breaker is not open. If every breaker is open, the one that is due
///    first is tried: breakers choose between endpoints, the delay between attempts is the backoff's.
/// 4. A connection that ends before it was stable is a failure, since a server that accepts and drops is no use; the
///    end of a stable one is none.
/// 5. An endpoint whose failure a retry cannot mend is ruled out until `resetRuledOut`.
package struct EndpointSet {
  package struct Health {
    package fileprivate(set) var breaker: CircuitBreaker
    package fileprivate(set) var attempts: UInt64 = 0
    package fileprivate(set) var failures: UInt64 = 0
    package fileprivate(set) var connections: UInt64 = 0
    package fileprivate(set) var lastFailureAt: Int64?
    package fileprivate(set) var isRuledOut = false
    fileprivate var hasFailedInRound = false
    fileprivate var isStable = false
  }

  private var healths: [Health]
  /// The endpoint of the attempt or connection that is under way.
  package private(set) var current: Int?

  package init(count: Int, threshold: Int, openTime: Int64) {
    let health = Health(breaker: CircuitBreaker(threshold: threshold, openTime: openTime))
    healths = [Health](repeating: health, count: max(0, count))
  }

  package var count: Int { healths.count }

  package func health(_ index: Int) -> Health? { has(index) ? healths[index] : nil }

  /// The endpoint for the next attempt; nil when all are ruled out.
  package mutating func choose(_ now: Int64) -> Int? {
    var usable: Int?
    var due: Int?
    for index in 0..<healths.count where !healths[index].isRuledOut {
      if healths[index].breaker.state(now) != .open {
        if !healths[index].hasFailedInRound { return index }
        if usable == nil { usable = index }
      } else if let best = due {
        if healths[index].breaker.retryAt < healths[best].breaker.retryAt { due = index }
      } else {
        due = index
      }
    }
    guard let usable else { return due }
    forgetRound()
    return usable
  }

  /// Whether the next attempt can go to an endpoint that has not failed in this round.
  package func hasUntried(_ now: Int64) -> Bool {
    for health in healths where !health.isRuledOut && !health.hasFailedInRound && health.breaker.state(now) != .open {
      return true
    }
    return false
  }

  /// The most preferred endpoint ahead of `index` that could be used and has not failed for `quiet`: a reason to
  /// leave a working connection, if the application wants to return to the preferred endpoint.
  package func better(than index: Int, _ now: Int64, quiet: Int64) -> Int? {
    for other in 0..<max(0, min(index, healths.count)) where !healths[other].isRuledOut {
      if healths[other].breaker.state(now) == .open { continue }
      guard let failure = healths[other].lastFailureAt else { return other }
      if saturatingSum(failure, max(0, quiet)) <= now { return other }
    }
    return nil
  }

  /// An attempt begins.
  package mutating func began(_ index: Int, _ now: Int64) {
    if !has(index) { return }
    current = index
    healths[index].attempts &+= 1
    healths[index].isStable = false
    healths[index].breaker.attemptBegan(now)
  }

  /// The handshake is done. Whether the endpoint is any good shows when the connection is stable.
  package mutating func succeeded(_ index: Int, _ now: Int64) {
    if has(index) { healths[index].connections &+= 1 }
  }

  /// The connection has lasted: the endpoint has recovered.
  package mutating func stable(_ index: Int) {
    if !has(index) { return }
    healths[index].breaker.succeeded()
    healths[index].isStable = true
    forgetRound()
  }

  /// The attempt failed.
  package mutating func failed(_ index: Int, _ now: Int64) {
    if !has(index) { return }
    countFailure(index, now)
    healths[index].breaker.failed(now)
    healths[index].hasFailedInRound = true
  }

  /// An open connection ended through no wish of the application: a failure unless it was stable.
  package mutating func ended(_ index: Int, _ now: Int64) {
    if !has(index) { return }
    if healths[index].isStable { leave(index) } else { failed(index, now) }
  }

  /// The attempt or connection ended because the application wanted it to: this says nothing about the endpoint.
  package mutating func cancelled(_ index: Int) {
    if !has(index) { return }
    healths[index].breaker.abandoned()
    leave(index)
  }

  /// In place of `failed`: no retry can mend this.
  package mutating func ruledOut(_ index: Int, _ now: Int64) {
    if !has(index) { return }
    countFailure(index, now)
    healths[index].breaker.abandoned()
    healths[index].isRuledOut = true
  }

  package mutating func resetRuledOut() {
    for index in 0..<healths.count { healths[index].isRuledOut = false }
  }

  private func has(_ index: Int) -> Bool { index >= 0 && index < healths.count }

  private mutating func countFailure(_ index: Int, _ now: Int64) {
    healths[index].failures &+= 1
    healths[index].lastFailureAt = now
    leave(index)
  }

  private mutating func leave(_ index: Int) {
    healths[index].isStable = false
    if current == index { current = nil }
  }

  private mutating func forgetRound() {
    for index in 0..<healths.count { healths[index].hasFailedInRound = false }
  }
}
