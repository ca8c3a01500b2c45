// SPDX-License-Identifier: Apache-2.0

/// What the application is subscribed to, by key, in the order in which it was added; sent again on each connection.
///
/// It knows what the peer was told on this connection, and from that what is to be sent: unsubscribe messages first,
/// because peers limit how many subscriptions there are. Each call takes a time that does not depend on how many there
/// are, but for `beginConnection` and `keys`; answers take a time that depends on what waits for them. Not thread safe;
/// its owner locks.
package final class SubscriptionSet {
  package static let longestKey = 1024
  package static let longestText = 64 << 10
  /// Those that wait for their unsubscribe message count too.
  package static let mostKeys = 100_000

  /// Of a list of places.
  private struct Ends {
    var first: Int32 = -1
    var last: Int32 = -1
  }

  private var entries: [SubscriptionEntry] = []
  /// Places without an entry, to use again.
  private var free: [Int32] = []
  private var index = SubscriptionIndex()
  private var order = Ends()
  private var subscribes = Ends()
  private var unsubscribes = Ends()
  /// In the order in which they were sent. Those before `answered` have no keys left.
  private(set) var requests: [SubscriptionRequest] = []
  private var answered = 0
  /// The last number of a request, and of a group.
  private var number = 0

  /// Subscriptions that the application wants.
  package private(set) var count = 0
  /// Keys for which there is something to send.
  package private(set) var pending = 0
  /// Messages that wait for their answer.
  package private(set) var waiting = 0

  package init() {}

  /// Adds a subscription, or changes the texts of one, which then keeps its place in the order. A text of nil stands
  /// for the owner's template. One that was sent is sent again only when its subscribe message is another one; a key is
  /// one subscription at the peer, so that the new message replaces the old one there.
  package func add(key: [UInt8], subscribe: [UInt8]?, unsubscribe: [UInt8]?) -> SubscriptionChange {
    if key.isEmpty || key.count > SubscriptionSet.longestKey { return .keyNotAllowed }
    if isTooLong(subscribe) || isTooLong(unsubscribe) { return .textTooLong }
    let hash = SubscriptionIndex.hash(key)
    guard let place = find(key, hash) else {
      if entries.count &- free.count >= SubscriptionSet.mostKeys { return .full }
      insert(SubscriptionEntry(key: key, hash: hash, subscribe: subscribe, unsubscribe: unsubscribe))
      count &+= 1
      return .changed
    }
    let at = Int(place)
    let isSameText = equal(entries[at].subscribe, subscribe)
    let wasWanted = entries[at].isWanted
    if wasWanted && isSameText && equal(entries[at].unsubscribe, unsubscribe) { return .unchanged }
    entries[at].subscribe = subscribe
    entries[at].unsubscribe = unsubscribe
    if !isSameText { entries[at].isCurrent = false }
    if !wasWanted {
      // The peer has not heard that it was removed.
      entries[at].isWanted = true
      count &+= 1
      leaveQueue(place)
    }
    if !entries[at].isCurrent && entries[at].queued == .none { enter(.subscribe, place) }
    return .changed
  }

  /// Removes a subscription. False if there was none.
  package func remove(key: [UInt8]) -> Bool {
    let at = place(of: key)
    if at < 0 || !entries[at].isWanted { return false }
    let place = Int32(at)
    count &-= 1
    leaveQueue(place)
    if entries[at].isSent {
      entries[at].isWanted = false
      enter(.unsubscribe, place)
    } else {
      delete(place)
    }
    return true
  }

  package func contains(_ key: [UInt8]) -> Bool {
    let place = place(of: key)
    return place >= 0 && entries[place].isWanted
  }

  /// What the application wants, in order.
  package func keys() -> [[UInt8]] {
    var all: [[UInt8]] = []
    all.reserveCapacity(count)
    var place = order.first
    while place >= 0 {
      if entries[Int(place)].isWanted { all.append(entries[Int(place)].key) }
      place = entries[Int(place)].after
    }
    return all
  }

  /// What the application wants, for a connection beside the present one; nothing of it was sent.
  package func copy() -> SubscriptionSet {
    let made = SubscriptionSet()
    var place = order.first
    while place >= 0 {
      let entry = entries[Int(place)]
      if entry.isWanted { _ = made.add(key: entry.key, subscribe: entry.subscribe, unsubscribe: entry.unsubscribe) }
      place = entry.after
    }
    return made
  }

  /// A new connection has no subscriptions: all are to be sent, in order. Also right when a connection has ended.
  package func beginConnection() {
    subscribes = Ends()
    unsubscribes = Ends()
    pending = 0
    requests = []
    answered = 0
    waiting = 0
    var place = order.first
    while place >= 0 {
      let at = Int(place)
      let next = entries[at].after
      entries[at].queued = .none
      entries[at].isSent = false
      entries[at].isCurrent = false
      entries[at].request = 0
      entries[at].group = 0
      if entries[at].isWanted { enter(.subscribe, place) } else { delete(place) }
      place = next
    }
  }

  /// What to send next, which counts as sent from then on: one message of its own, or up to `batch` keys that follow
  /// one another for the template. nil if there is nothing to do.
  package func next(batch: Int) -> SubscriptionWork? {
    let isUnsubscribe = unsubscribes.first >= 0
    let first = isUnsubscribe ? unsubscribes.first : subscribes.first
    if first < 0 { return nil }
    let group = entries[Int(first)].group
    if let text = ownText(first, isUnsubscribe) {
      let key = entries[Int(first)].key
      markSent(first)
      return .text(text, key: key, isUnsubscribe: isUnsubscribe)
    }
    var keys: [[UInt8]] = []
    var place = first
    while place >= 0, keys.isEmpty || keys.count < batch, entries[Int(place)].group == group,
      ownText(place, isUnsubscribe) == nil
    {
      keys.append(entries[Int(place)].key)
      let next = entries[Int(place)].queuedAfter
      markSent(place)
      place = next
    }
    return isUnsubscribe ? .unsubscribe(keys) : .subscribe(keys)
  }

  private func ownText(_ place: Int32, _ isUnsubscribe: Bool) -> [UInt8]? {
    isUnsubscribe ? entries[Int(place)].unsubscribe : entries[Int(place)].subscribe
  }

  private func markSent(_ place: Int32) {
    leaveQueue(place)
    guard entries[Int(place)].isWanted else { return delete(place) }
    entries[Int(place)].isSent = true
    entries[Int(place)].isCurrent = true
    entries[Int(place)].request = 0
    entries[Int(place)].group = 0
  }

  // MARK: Answers

  /// A message that subscribes these keys was sent.
  package func awaitAnswer(_ keys: [[UInt8]], id: [UInt8], now: Int64) {
    number &+= 1
    for key in keys {
      let place = place(of: key)
      if place >= 0 { entries[place].request = number }
    }
    requests.append(SubscriptionRequest(number: number, id: id, sentAt: now, keys: keys))
    waiting &+= 1
  }

  /// The message that is answered: the oldest with this id or key, if one is named. One whose id is not known comes last.
  package func find(_ answer: PatternCapture) -> SubscriptionRequest? {
    var unknown: SubscriptionRequest?
    for index in answered..<requests.count {
      let request = requests[index]
      if request.keys.isEmpty { continue }
      if let key = answer.key, !request.has(key) { continue }
      guard let id = answer.id else { return request }
      if PatternCapture.isText(id, request.id) { return request }
      if request.id.isEmpty && unknown == nil { unknown = request }
    }
    return unknown
  }

  /// A message, or this key of it, is confirmed.
  package func confirm(_ request: SubscriptionRequest, key: UnsafeRawBufferPointer?) { _ = take(request, key) }

  /// A message, or this key of it, is refused. The key to blame, which is not subscribed any more; nil if it is still to
  /// be found, among halves that are sent each by itself, or if nobody wants it any more.
  package func reject(_ request: SubscriptionRequest, key: UnsafeRawBufferPointer?) -> [UInt8]? {
    let isKnown = key != nil || request.keys.count == 1
    let refused = take(request, key)
    for index in 0..<refused.count {
      let place = Int(refused[index])
      if isKnown {
        let key = entries[place].key
        count &-= 1
        delete(refused[index])
        return key
      }
      if index == 0 || index == refused.count / 2 { number &+= 1 }
      entries[place].group = number
      entries[place].isSent = false
      entries[place].isCurrent = false
      enter(.subscribe, refused[index])
    }
    return nil
  }

  /// When the oldest of those that wait was sent.
  package var waitingSince: Int64? { answered < requests.count ? requests[answered].sentAt : nil }

  /// Of a peer that only refuses: it has had the time for it.
  package func endWaiting(before time: Int64) {
    while answered < requests.count, requests[answered].sentAt <= time { _ = take(requests[answered], nil) }
  }

  /// They are answered. The places of those that nothing has changed since.
  private func take(_ request: SubscriptionRequest, _ key: UnsafeRawBufferPointer?) -> [Int32] {
    var taken: [Int32] = []
    var left: [[UInt8]] = []
    for one in request.keys {
      if let key, !PatternCapture.isText(key, one) {
        left.append(one)
      } else {
        let place = place(of: one)
        if place >= 0, settle(place, request) { taken.append(Int32(place)) }
      }
    }
    request.keys = left
    if left.isEmpty { close() }
    return taken
  }

  private func settle(_ place: Int, _ request: SubscriptionRequest) -> Bool {
    if entries[place].request != request.number { return false }
    entries[place].request = 0
    return entries[place].isWanted && entries[place].queued == .none
  }

  /// A request has all its answers.
  private func close() {
    waiting &-= 1
    while answered < requests.count, requests[answered].keys.isEmpty { answered &+= 1 }
    // The first may wait while all that follow are answered.
    if waiting > 0 && requests.count &- waiting < 1000 &+ waiting { return }
    var open: [SubscriptionRequest] = []
    for index in answered..<requests.count where !requests[index].keys.isEmpty { open.append(requests[index]) }
    requests = open
    answered = 0
  }

  /// -1 if there is none.
  @inline(never) private func place(of key: [UInt8]) -> Int { Int(find(key, SubscriptionIndex.hash(key)) ?? -1) }

  // MARK: Places

  private func isTooLong(_ text: [UInt8]?) -> Bool {
    guard let text else { return false }
    return text.count > SubscriptionSet.longestText
  }

  private func equal(_ left: [UInt8]?, _ right: [UInt8]?) -> Bool {
    guard let left, let right else { return left == nil && right == nil }
    return left == right
  }

  private func find(_ key: [UInt8], _ hash: UInt32) -> Int32? {
    var slot = index.first(hash)
    if slot < 0 { return nil }
    while true {
      let found = index.slots[slot]
      if found.place < 0 { return nil }
      if found.hash == hash && entries[Int(found.place)].key == key { return found.place }
      slot = index.after(slot)
    }
  }

  private func insert(_ entry: SubscriptionEntry) {
    let place: Int32
    if let reused = free.popLast() {
      place = reused
      entries[Int(reused)] = entry
    } else {
      place = Int32(truncatingIfNeeded: entries.count)
      entries.append(entry)
    }
    entries[Int(place)].before = order.last
    if order.last >= 0 { entries[Int(order.last)].after = place } else { order.first = place }
    order.last = place
    index.insert(place, hash: entry.hash)
    enter(.subscribe, place)
  }

  /// It must be in no queue.
  private func delete(_ place: Int32) {
    let at = Int(place)
    let before = entries[at].before
    let after = entries[at].after
    if before >= 0 { entries[Int(before)].after = after } else { order.first = after }
    if after >= 0 { entries[Int(after)].before = before } else { order.last = before }
    index.remove(place, hash: entries[at].hash)
    // One access: of the checks of four the compiler takes one away in some builds and not in others.
    entries[at].clear()
    free.append(place)
  }

  // MARK: Queues

  private func enter(_ queue: SubscriptionEntry.Queue, _ place: Int32) {
    let last = queue == .subscribe ? subscribes.last : unsubscribes.last
    entries[Int(place)].queued = queue
    entries[Int(place)].queuedBefore = last
    entries[Int(place)].queuedAfter = -1
    link(queue, last, place)
    setLast(queue, place)
    pending &+= 1
  }

  private func leaveQueue(_ place: Int32) {
    let queue = entries[Int(place)].queued
    if queue == .none { return }
    let before = entries[Int(place)].queuedBefore
    let after = entries[Int(place)].queuedAfter
    link(queue, before, after)
    if after >= 0 { entries[Int(after)].queuedBefore = before } else { setLast(queue, before) }
    entries[Int(place)].queued = .none
    pending &-= 1
  }

  /// Makes `after` the one behind `before`, or the first.
  private func link(_ queue: SubscriptionEntry.Queue, _ before: Int32, _ after: Int32) {
    if before >= 0 {
      entries[Int(before)].queuedAfter = after
    } else if queue == .subscribe {
      subscribes.first = after
    } else {
      unsubscribes.first = after
    }
  }

  private func setLast(_ queue: SubscriptionEntry.Queue, _ place: Int32) {
    if queue == .subscribe { subscribes.last = place } else { unsubscribes.last = place }
  }
}
