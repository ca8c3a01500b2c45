// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Whether each key brings data.
extension Inbound {
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

  /// The time has come. `readUpTo`: what is missed by this time did not come. `isPaused`: while the consumer makes reading
  /// pause, silence says nothing about a key, nor does it without a connection (`isConnected`).
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
    scheduleKeys(notBefore: moment.now &+ Liveness.lookAgainPause)
  }

  private func emitKey(_ event: Literal, _ index: Int, _ silence: Int64) {
    guard let keys = feed?.keys else { return }
    let key = String(bytes: keys.key(index))
    emit(Event.staleKey(event, key: key, silence: silence), isKept: false)
    actions.log(.info, "\(event) \(key)")
  }
}
