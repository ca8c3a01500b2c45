// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// Two lines that bring the same feed, side 0 and side 1; see `FeedMerge`.
extension Inbound {
  func join(_ message: Arrival, _ side: Int, _ merge: FeedMerge) {
    guard let number = feed?.number else {
      if merge.takesUnnumbered(side) { deliver(message) } else { counts.duplicates &+= 1 }
      return
    }
    let verdict = merge.offer(
      side: side, number, now: moment.now, kind: message.kind, flags: message.flags, payload: message.payload,
      receivedAt: message.receivedAt)
    if case .deliver = verdict { deliver(message) }
    release(merge)
  }

  /// What need not wait any more.
  private func release(_ merge: FeedMerge) {
    let wasEmpty = queue.isEmpty
    while let parked = merge.release(moment.now) {
      feed?.read(parked.payload)
      deliver(Arrival(kind: parked.kind, flags: parked.flags, payload: parked.payload, receivedAt: parked.receivedAt))
    }
    if wasEmpty && !queue.isEmpty { actions.wake() }
    guard let next = merge.nextDeadline, !awaitsMerge else { return }
    // One that comes too early looks again.
    awaitsMerge = true
    actions.lookAgain(.merge, at: next)
  }

  /// The time has come for what waits for the other side.
  package func mergeIsDue() {
    awaitsMerge = false
    if let merge { release(merge) }
  }

  /// A side's messages flow, or no longer.
  package func setReady(side: Int, _ isReady: Bool) {
    guard let merge else { return }
    merge.setReady(side, isReady)
    // The message that shows that they flow may have been read, and is to be offered yet: it stays the one that was read last.
    if !isReady { release(merge) }
  }

  /// The connection that brings a side's messages from now on is not ready yet.
  package func suspend(side: Int) {
    guard let merge else { return }
    merge.suspend(side)
    release(merge)
  }

  /// Another connection brings the messages of a side from now on. `hasCopies`: of those that the one before has brought.
  package func renew(side: Int, hasCopies: Bool) {
    if let merge {
      merge.renew(side)
    } else if hasCopies {
      feed?.startGeneration(moment.now)
    }
  }
}
