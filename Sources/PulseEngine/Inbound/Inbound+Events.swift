// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Events between the messages, and what tells of losses.
extension Inbound {
  /// Puts an event behind what is there, if events are wanted. One that `isKept` does not give way to a full queue: all but
  /// those that may come with every message.
  package func emit(_ event: Sentence, isKept: Bool = true) {
    guard rules.emitsEvents else { return }
    // Nobody takes anything: events must not fill the memory. The other policies make room.
    if !hasRoom(for: isKept ? MessageQueue.keptBytes : 0) {
      counts.eventsDropped &+= 1
      return
    }
    emitMissed()
    append(event, isKept: isKept)
  }

  private func hasRoom(for more: Int) -> Bool { rules.policy.makesRoom || queuedBytes < rules.limit &+ more }

  /// There is room for what tells of losses.
  package var hasRoomForLosses: Bool { hasRoom(for: MessageQueue.keptBytes) }

  /// The events that found no room.
  package func emitMissed() {
    let missed = counts.eventsDropped &- told.eventsDropped
    if missed == 0 || !rules.emitsEvents { return }
    told.eventsDropped = counts.eventsDropped
    append(Event.eventsDropped(events: Int(truncatingIfNeeded: missed)), isKept: true)
  }

  private func append(_ event: Sentence, isKept: Bool) {
    if queue.isEmpty { actions.wake() }
    queue.append(event: event.bytes, isKept: isKept && rules.policy.makesRoom, receivedAt: moment.realtime)
    // What announces it is an event, too.
    if isAnnouncingDrops || !rules.policy.makesRoom { return }
    isAnnouncingDrops = true
    makeRoom()
    isAnnouncingDrops = false
  }

  /// The queue has discarded messages that were not told yet.
  private var hasDropNews: Bool { queue.droppedCount &+ queue.conflatedCount != told.drops }

  /// Something is to be told that found no room, or came too soon after the last of its kind.
  package var hasNews: Bool { hasDropNews || (counts.eventsDropped != told.eventsDropped && rules.emitsEvents) }

  package func tellNews() {
    announceDrops()
    emitMissed()
  }

  /// Ten times a second at most.
  package func announceDrops() {
    if !hasDropNews { return }
    if moment.now < told.nextDrops {
      actions.lookAgain(.losses, at: told.nextDrops)
      return
    }
    told.nextDrops = moment.now &+ Inbound.announcePause
    let count = queue.droppedCount &+ queue.conflatedCount
    let bytes = queue.droppedBytes &+ queue.conflatedBytes
    let messages = count &- told.drops
    let size = bytes &- told.dropBytes
    told.drops = count
    told.dropBytes = bytes
    let policy: Literal = rules.policy == .conflate ? "conflate" : "drop_oldest"
    actions.log(.warning, "the queue of received messages is full: \(messages) messages dropped (\(policy))")
    emit(
      Event.receiveDropped(messages: Int(truncatingIfNeeded: messages), bytes: Int(truncatingIfNeeded: size), cause: policy))
    actions.wake()
  }

  /// What was discarded since this side `has` done that.
  package func announceDiscarded(_ has: Literal) {
    let count = counts.discarded &- told.discarded
    if count == 0 { return }
    told.discarded = counts.discarded
    actions.log(.warning, "\(count) messages discarded: they arrived after this side \(has)")
    emit(
      Event.discarded(messages: Int(truncatingIfNeeded: count), cause: sentence("they arrived after this side \(has)")))
  }
}
