// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Whether data comes, and whether each key does.
extension Inbound {
  /// After so long a deadline is judged that found more to read (ns).
  package static let lookAgainPause: Int64 = 1_000_000

  // MARK: The feed

  /// A connection serves from now on: it has its time.
  package func startServing() {
    lastDataAt = moment.now
    isStale = false
  }

  /// Data came with the last chunk.
  @inline(__always)
  package func dataArrived() {
    lastDataAt = moment.now
    if isStale { becomeFresh() }
  }

  private func becomeFresh() {
    isStale = false
    emit(Event.fresh(silence: moment.now &- staleSince))
    actions.log(.info, "data comes again")
    scheduleStale()
  }

  package func scheduleStale(notBefore earliest: Int64 = .min) {
    guard rules.staleTimeout > 0 else { return }
    actions.lookAgain(.stale, at: max(saturatingSum(lastDataAt, rules.staleTimeout), earliest))
  }

  /// The time has come. `readUpTo`: what is missed by this time did not come. `isPaused`: while the consumer makes reading
  /// pause, silence says nothing about the feed. True if the connection is to be left.
  package func lookWhetherStale(readUpTo: Int64, isPaused: Bool) -> Bool {
    if isStale { return false }
    if isPaused { lastDataAt = moment.now }
    if readUpTo &- lastDataAt < rules.staleTimeout {
      scheduleStale(notBefore: moment.now &+ Inbound.lookAgainPause)
      return false
    }
    let silence = moment.now &- lastDataAt
    counts.staleEpisodes &+= 1
    staleSince = lastDataAt
    emit(Event.stale(silence: silence, action: rules.staleReconnects ? "reconnect" : "event"))
    actions.log(.warning, "no data for \(seconds: silence) s")
    if rules.staleReconnects { return true }
    isStale = true
    tap?.silenced(sentence("no data for \(seconds: silence) s"))
    actions.wake()
    return false
  }

  // MARK: Keys

  package var keyCount: Int { feed?.keyCount ?? 0 }

  func touch(_ key: Int) {
    if let silence = feed?.staleness?.touch(key, moment.now) { emitKey("fresh_key", key, silence) }
    if !awaitsKeys { scheduleKeys() }
  }

  /// A connection begins, or nobody could read: every key has its time again.
  package func restartKeys() {
    if feed?.staleness == nil { return }
    feed?.staleness?.restart(moment.now)
    if !awaitsKeys { scheduleKeys() }
  }

  private func scheduleKeys(notBefore earliest: Int64 = .min) {
    guard let next = feed?.staleness?.nextDeadline else { return }
    awaitsKeys = true
    actions.lookAgain(.keys, at: max(next, earliest))
  }

  /// The time has come. `isPaused` as above; `isConnected`: without a connection silence says nothing about a key.
  package func keysAreDue(readUpTo: Int64, isConnected: Bool, isPaused: Bool) {
    awaitsKeys = false
    if !isConnected { return }
    if isPaused { feed?.staleness?.restart(moment.now) }
    var isNews = false
    while let (key, silence) = feed?.staleness?.expire(readUpTo) {
      counts.staleKeys &+= 1
      emitKey("stale_key", key, silence &+ (moment.now &- readUpTo))
      isNews = true
    }
    if isNews { actions.wake() }
    scheduleKeys(notBefore: moment.now &+ Inbound.lookAgainPause)
  }

  private func emitKey(_ event: Literal, _ index: Int, _ silence: Int64) {
    guard let keys = feed?.keys else { return }
    let key = String(bytes: keys.key(index))
    emit(Event.staleKey(event, key: key, silence: silence), isKept: false)
    actions.log(.info, "\(event) \(key)")
  }
}
