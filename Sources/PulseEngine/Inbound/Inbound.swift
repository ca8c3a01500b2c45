// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What arrives, until the application takes it: the queue with its policy, the keys and numbers of messages, how far topics
/// of a hub have come, and whether each key brings data.
///
/// - A message is read once (`read`). Then it is offered (`offer`), or passed over because the library has used it up
///   (`passOver`), or taken aside (`takeAside`): for the application, but not as data. All in the order of arrival.
/// - What a connection brings twice is discarded and counted; what is missing or out of order is told by an event that
///   stands before the message that shows it.
/// - A full queue makes room by its policy and counts what goes, or is the reason for its owner to pause reading or to leave
///   the connection. The newest message stays, however large.
/// - Events stand in the queue where they happened. One that tells of a loss finds room beyond the limit; what finds none is
///   counted and told by an event when there is room again.
/// - A connection that has ended may be followed by another one while its last messages wait in `front`, before all others.
///
/// Where nothing but a copy is to be done with messages (`handles` is false), its owner appends to `queue` itself, and adds to
/// `counts` for each chunk. Not thread safe; its owner locks.
package final class Inbound {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var policy = ReceiveQueuePolicy.pause
    /// Of the queue, in bytes with the overhead of each message.
    package var limit = 4 << 20
    package var emitsEvents = false
    package var resumes = false
    package var staleKeyTimeout: Int64 = 0
    package var keyPath: [JSONPath] = []
    package var sequencePath: [JSONPath] = []
    package var sequencePrevious: JSONPath?
    package var sequenceKey: [JSONPath] = []
    package var isIncreasing = false
    /// Numbers begin anew with each connection.
    package var countsConnection = false
    package var rotationOverlap: Int64 = 1_000_000_000
    package var hasTwin = false
    package var twinWait: Int64 = 50_000_000

    package init() {}
  }

  /// What statistics say of it.
  package struct Counts {
    package var messages: UInt64 = 0
    package var payloadBytes: UInt64 = 0
    package var duplicates: UInt64 = 0
    package var gaps: UInt64 = 0
    package var missing: UInt64 = 0
    package var repeats: UInt64 = 0
    package var stepsBack: UInt64 = 0
    package var staleKeys: UInt64 = 0
    package var eventsDropped: UInt64 = 0
    /// They arrived after this side began to close.
    package var discarded: UInt64 = 0
  }

  /// What events have said so far.
  struct Told {
    var discarded: UInt64 = 0
    var eventsDropped: UInt64 = 0
    var drops: UInt64 = 0
    var dropBytes: UInt64 = 0
    /// When the next one may say more of drops.
    var nextDrops: Int64 = 0
    var keysAreFull = false
  }

  static let announcePause: Int64 = 100_000_000

  package let rules: Rules
  package private(set) var queue = MessageQueue()
  /// What stands before all in `queue`: the queue of the connection that is the tail, or was.
  package private(set) var front: MessageQueue?
  package let feed: Feed?
  /// Two lines bring the messages.
  package let merge: FeedMerge?
  /// With option `resume`.
  package let points: ResumePoints?
  /// Takes messages in the queue's place.
  package private(set) var tap: MessageTap?
  /// Something other than a copy to the queue has to be done with messages.
  package private(set) var handles = false
  /// About when what is offered came, or what is told happens.
  package var moment = Moment(now: 0, realtime: 0)

  package var counts = Counts()
  var told = Told()
  var isAnnouncingDrops = false
  /// Its owner has been asked to look at keys again.
  var awaitsKeys = false
  /// The same for what waits for the other of two lines.
  var awaitsMerge = false
  let actions: Actions

  package init(_ rules: Rules, _ actions: Actions, seed: () -> UInt64) {
    self.rules = rules
    self.actions = actions
    feed = Feed.make(rules, seed: (seed(), seed()))
    merge = rules.hasTwin ? FeedMerge(rule: feed?.rule ?? .consecutive, wait: rules.twinWait, limit: rules.limit) : nil
    points = rules.resumes ? ResumePoints(seed: seed()) : nil
    if rules.policy.makesRoom { queue.bound(to: rules.limit) }
    handles = handlesMessages
  }

  private var handlesMessages: Bool { feed != nil || rules.policy.makesRoom || tap != nil || points != nil }

  /// False if another tap is there.
  package func setTap(_ tap: MessageTap) -> Bool {
    if self.tap != nil { return false }
    self.tap = tap
    handles = true
    return true
  }

  package func removeTap(_ tap: MessageTap?) {
    if self.tap === tap { self.tap = nil }
    handles = handlesMessages
  }

  // MARK: The queue

  /// Messages and events that were received and not taken.
  package var queuedCount: Int { queue.count + (front?.count ?? 0) }
  package var queuedBytes: Int { queue.bytes + (front?.bytes ?? 0) }
  package var isEmpty: Bool { queue.isEmpty && front == nil }
  package var isHalfFree: Bool { queuedBytes <= rules.limit / 2 }

  /// The next ones for the application; nil if there are none.
  package func take(_ most: Int) -> MessageSlice? { (front ?? queue).take(most < 1 << 30 ? most : 1 << 30) }

  package func giveBack(_ segment: consuming MessageSegment) { (front ?? queue).giveBack(segment) }

  /// What comes from here on, messages and events, stands behind what is here, and what its connection still has. With policy
  /// `pause` only.
  package func beginFront() {
    front = queue
    queue = MessageQueue()
  }

  /// The tail has brought its last, and all of it was taken: how many messages and events that were.
  package func endFront() -> UInt64 {
    guard let front else { return 0 }
    queue.follow(front)
    self.front = nil
    return front.lastSequence
  }

  /// After each append, of an event, too, if the policy is to make room.
  func makeRoom() {
    guard queue.isFull(rules.limit) else {
      // What is replaced while the queue conflates makes room by itself.
      if queue.conflatedCount != 0 { announceDrops() }
      return
    }
    let events = queue.droppedEvents
    if rules.policy == .conflate { queue.conflate(toFit: rules.limit) } else { queue.dropOldest(toFit: rules.limit) }
    counts.eventsDropped &+= queue.droppedEvents &- events
    announceDrops()
  }
}
