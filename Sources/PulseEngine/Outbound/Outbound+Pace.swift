// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// From the outbox to the connection, at the pace that is allowed.
extension Outbound {
  /// The message whose turn it is, to be framed and then taken out with `framed`. nil: `nextFrameAt` says when to ask again.
  /// `isClosing`: the backlog need not pace any more.
  @inline(__always)
  package func nextFrame(_ now: Int64, isClosing: Bool) -> OutboxMessage? {
    guard let message = outbox.front(now: now) else {
      nextFrameAt = .max
      return nil
    }
    let isBacklog = message.id <= backlogEnd && !isClosing
    if isBacklog && now < nextBacklogAt {
      nextFrameAt = nextBacklogAt
      return nil
    }
    if let time = waitsForLimit(now) {
      counts.limitWaits &+= 1
      nextFrameAt = time
      return nil
    }
    if isBacklog { nextBacklogAt = saturatingSum(now, rules.backlogInterval) }
    return message
  }

  @inline(__always)
  package func framed() { outbox.removeFront() }

  /// Takes a slot of the limits for a message of the library's own; when to ask again, if there is none.
  @inline(__always)
  package func waitsForLimit(_ now: Int64) -> Int64? {
    if limiter?.admit(now) != false { return nil }
    return limiter?.readyAt(now) ?? now
  }

  /// A message goes out whatever the limits say; later ones wait for it.
  package func noteMessage(_ now: @autoclosure () -> Int64) { if limiter != nil { limiter?.note(now()) } }

  package func noteControl(_ now: @autoclosure () -> Int64) { if rules.countsControl { noteMessage(now()) } }

  /// When something in the outbox expires; `.max` for never.
  package var nextDeadline: Int64 { outbox.nextExpiry }

  // MARK: Those who wait

  /// The time has come for what expires.
  package func expire(_ now: Int64) {
    outbox.expire(now: now)
    giveRoom()
  }

  /// There is something to tell, or somebody waits.
  package var isWatched: Bool { outbox.book.hasNews || !waiting.isEmpty }

  /// There may be room again for those who wait.
  package func giveRoom() {
    if waiting.contains(.senders) && outbox.hasRoom(for: 0) {
      waiting.remove(.senders)
      actions.notify()
    }
    // Who has to be told through the descriptor learns it when it is worth the while.
    guard waiting.contains(.owner), outbox.count <= rules.limits.count / 2 && outbox.bytes <= rules.limits.bytes / 2,
      journalIsHalfFree
    else { return }
    tellWaiting()
  }

  private var journalIsHalfFree: Bool {
    guard let journal else { return true }
    return journal.usedBytes <= journal.ringBytes / 2
  }

  /// Whoever waits looks again.
  package func tellWaiting() {
    if !waiting.isDisjoint(with: [.senders, .flushers]) { actions.notify() }
    if waiting.contains(.owner) { actions.signal() }
    waiting = []
  }
}
