// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import PulseTopics

@Suite struct TopicTests {
  private let encoder = FrameEncoder()

  private func makeTopic(_ change: (inout TopicSettings) -> Void) -> Topic {
    Topic(makeInfo("t", change), epoch: Array("k3"), seed: 1, now: 0)
  }

  private func publish(_ topic: Topic, _ payload: String = "{}", key: String? = nil, offset: UInt64? = nil, now: Int64 = 0) throws
    -> AppendVerdict
  {
    topic.append(try publication(topic.info, Array(payload), key: key).get(), offset: offset, now: now)
  }

  private func wish(_ epoch: String = "k3", _ offset: UInt64? = nil, history: Int = 0, most: Int = .max) -> SubscribeWish {
    var wish = SubscribeWish()
    wish.since = offset.map { ResumePoint(epoch: Array(epoch), offset: $0) }
    wish.history = history
    wish.most = most
    return wish
  }

  /// 10 messages of which the last 4 are held.
  @Test(
    arguments: [
      ("k3", 10, 0, Int.max, true, [], nil), ("k3", 8, 0, .max, true, [9, 10], nil), ("k3", 6, 0, .max, true, [7, 8, 9, 10], nil),
      ("k3", 5, 0, .max, false, [], Gap(from: 6, to: 10, cause: .history)),
      ("k3", 0, 0, .max, false, [], Gap(from: 1, to: 10, cause: .history)),
      ("k3", 11, 0, .max, false, [], Gap(from: 0, to: 10, cause: .history)),
      ("k3", UInt64.max, 0, .max, false, [], Gap(from: 0, to: 10, cause: .history)),
      ("k4", 10, 0, .max, false, [], Gap(from: 0, to: 10, cause: .hubRestart)),
      ("k3", 6, 0, 3, false, [], Gap(from: 7, to: 10, cause: .slow)), ("k3", 6, 0, 4, true, [7, 8, 9, 10], nil),
      ("k3", 3, 2, .max, false, [], Gap(from: 4, to: 8, cause: .history)),
      ("k3", 3, 100, .max, false, [], Gap(from: 4, to: 6, cause: .history)),
      ("k3", 7, 4, 2, false, [], nil as Gap?),
    ] as [(String, UInt64, Int, Int, Bool, [UInt64], Gap?)])
  func aPeerResumesOrHearsOfAGap(
    _ epoch: String, _ offset: UInt64, _ history: Int, _ most: Int, _ recovered: Bool, _ missed: [UInt64], _ gap: Gap?
  ) throws {
    let topic = makeTopic { $0.history = 4 }
    for _ in 0..<10 { _ = try publish(topic) }
    let cut = topic.subscribe(wish(epoch, offset, history: history, most: most), now: 0)
    #expect(cut.recovered == recovered && cut.deliveries.map(\.offset) == missed && cut.gap == gap)
    #expect(cut.end.offset == 10 && cut.position.offset == (recovered ? offset : 10))
    #expect(cut.hasSnapshot == (!recovered && history > 0))
  }

  @Test func aTopicWithoutMessagesCanBeResumed() throws {
    let topic = makeTopic { $0.history = 4 }
    #expect(topic.subscribe(wish("k3", 0), now: 0).recovered)
    _ = try publish(topic)
    let cut = topic.subscribe(wish("k3", 0), now: 0)
    #expect(cut.recovered && cut.deliveries.map(\.offset) == [1])
  }

  @Test func offsetsOfAnotherOrderRiseOnly() throws {
    let topic = makeTopic { $0.history = 10 }
    #expect(try publish(topic, offset: 5) == .appended(offset: 5, endsStale: false))
    #expect(try publish(topic, offset: 5) == .refused)
    #expect(try publish(topic, offset: 0) == .refused)
    #expect(try publish(topic, offset: .max) == .appended(offset: .max, endsStale: false))
    #expect(try publish(topic) == .refused)
    // 6 was never given to a message.
    #expect(topic.subscribe(wish("k3", 6), now: 0).gap == Gap(from: 7, to: .max, cause: .history))
    #expect(topic.subscribe(wish("k3", 5), now: 0).deliveries.map(\.previous) == [5])
    let made = try publication(topic.info, Array("1")).get()
    let other = makeTopic { _ in }
    _ = other.append(made, now: 0)
    #expect(makeTopic { _ in }.append(made, now: 0) == .refused)
    let binary = try publication(makeInfo("b") { $0.isBinary = true }, [1]).get()
    #expect(other.append(binary, now: 0) == .refused)
  }

  @Test func historyKeepsToCountBytesAndAge() throws {
    let counted = makeTopic { $0.history = 3 }
    let sized = makeTopic {
      $0.history = 100
      $0.historyBytes = 10
    }
    let aged = makeTopic {
      $0.history = 100
      $0.historyAge = 5
    }
    for step in 0..<10 {
      for topic in [counted, sized, aged] { _ = try publish(topic, "1234", now: Int64(step)) }
    }
    #expect(counted.heldMessages == 3 && sized.heldMessages == 2 && sized.heldBytes == 8 && aged.heldMessages == 5)
    aged.trim(now: 13)
    #expect(aged.heldMessages == 1)
    #expect(aged.subscribe(wish("k3", 9), now: 14).gap == Gap(from: 10, to: 10, cause: .history))
  }

  @Test func whatAReaderHasNotReadStays() throws {
    let topic = makeTopic { _ in }
    topic.attach(0)
    topic.attach(63)
    #expect(!topic.attach(64) && !topic.attach(-1))
    for _ in 0..<5 { _ = try publish(topic, "12") }
    var deliveries: [Delivery] = []
    topic.read(0, into: &deliveries, now: 0)
    #expect(deliveries.map(\.offset) == [1, 2, 3, 4, 5] && topic.heldMessages == 5 && topic.unreadBytes == 10)
    #expect(!topic.hasNews(0) && topic.hasNews(63) && !topic.hasNews(5))
    topic.detach(63, now: 0)
    #expect(topic.heldMessages == 0 && topic.unreadBytes == 0 && topic.hasReaders)
    topic.detach(0, now: 0)
    _ = try publish(topic)
    #expect(topic.heldMessages == 0 && topic.unreadBytes == 0 && !topic.hasReaders)
  }

  @Test func readersOfTheSameBatchShareItsFrames() throws {
    let topic = makeTopic {
      $0.conflate = makePath("k")
      $0.flush = 1
    }
    topic.attach(0)
    topic.attach(1)
    for key in ["a", "b", "a", "c", "a"] { _ = try publish(topic, "{\"k\":\"\(key)\"}") }
    var first: [Delivery] = []
    var second: [Delivery] = []
    topic.read(0, into: &first, now: 0)
    topic.read(1, into: &second, now: 0)
    #expect(first.map(\.offset) == [2, 4, 5] && first.map(\.previous) == [0, 2, 4] && first.map(\.skipped) == [1, 1, 0])
    #expect(first.count == second.count && zip(first, second).allSatisfy { $0 === $1 })
  }

  @Test func aNewcomerGetsTheLatestOfEachKey() throws {
    let topic = makeTopic {
      $0.latest = true
      $0.maxKeys = 2
    }
    #expect(try snapshot(topic, .pulse) == [#"{"type":"snapshot","topic":"t","epoch":"k3","offset":0,"items":[]}"#])
    #expect(try snapshot(topic, .plain) == [])
    for (place, key) in ["a", "b", nil, "a", "c", "d"].enumerated() { _ = try publish(topic, "\(place)", key: key) }
    // "c" and "d" each made room: of two keys the one stays that had the last word.
    #expect(topic.keysForgotten == 2 && topic.keyCount == 2)
    let t = "\"t\":[null,null,null]"
    #expect(
      try snapshot(topic, .pulse) == [
        #"{"type":"snapshot","topic":"t","epoch":"k3","offset":6,"items":[{"type":"message","o":3,"# + t
          + #","data":2},{"type":"message","o":5,"# + t + #","data":4},{"type":"message","o":6,"# + t + #","data":5}]}"#
      ])
    #expect(try snapshot(topic, .plain) == ["2", "4", "5"])
  }

  /// Beside a model without limits: what is kept is right and new enough, and no message takes another key's place.
  @Test func keysThatEndAreForgotten() throws {
    for (limit, conflates) in [(1, true), (2, false), (5, true), (8, true), (64, false)] {
      let topic = makeTopic {
        $0.latest = true
        $0.maxKeys = limit
        $0.flush = conflates ? 1 : 0
        $0.conflate = conflates ? makePath("k") : nil
      }
      topic.attach(0)
      var latest: [String: (order: Int, text: String)] = [:]
      var read: [String] = []
      for order in 0..<2000 {
        let key = "\(order / 7 + order * 31 % 17 % 4)"
        let text = #"{"k":"\#(key)","n":\#(order)}"#
        _ = try publish(topic, text, key: key)
        latest[key] = (order, text)
        guard order % 13 == 0 || order == 1999 else { continue }
        var deliveries: [Delivery] = []
        topic.read(0, into: &deliveries, now: 0)
        read += deliveries.map { String(decoding: $0.publication.payload, as: UTF8.self) }
        #expect(topic.keyCount <= limit)
        let shown = try snapshot(topic, .plain)
        let newest = latest.values.sorted { $0.order < $1.order }.map(\.text)
        #expect(shown == newest.suffix(shown.count) && shown.count >= min(newest.count, max(1, limit / 2)))
      }
      // Each key's last message has reached the reader.
      #expect(Set(read).isSuperset(of: latest.values.map(\.text)))
      #expect(topic.keysForgotten > 0)
    }
  }

  private func snapshot(_ topic: Topic, _ form: Form) throws -> [String] {
    var wish = SubscribeWish()
    wish.form = form
    guard let frame = topic.subscribe(wish, now: 0).snapshotFrame(encoder) else { return [] }
    return Decoder(compressed: false).read(frame).map { if case .text(let bytes) = $0 { text(bytes) } else { "\($0)" } }
  }

  @Test func aSnapshotOfABinaryTopicIsFollowedByItsItems() throws {
    let topic = makeTopic {
      $0.isBinary = true
      $0.latest = true
    }
    _ = topic.append(try publication(topic.info, [0xFF]).get(), now: 0)
    let frame = try #require(topic.subscribe(wish(), now: 0).snapshotFrame(encoder))
    #expect(
      Decoder(compressed: false).read(frame) == [
        .text(Array(#"{"type":"snapshot","topic":"t","epoch":"k3","offset":1,"binary":1,"items":[]}"#)),
        .binary([0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF]),
      ])
  }

  @Test func aSnapshotIsMadeOnceForAnEndAndForm() throws {
    let topic = makeTopic {
      $0.latest = true
      $0.history = 5
    }
    _ = try publish(topic)
    let cut = topic.subscribe(wish(), now: 0)
    let frame = try #require(cut.snapshotFrame(encoder))
    topic.keep(frame, of: cut)
    #expect(topic.subscribe(wish(), now: 0).snapshotFrame(encoder) === frame)
    #expect(topic.subscribe(wish(history: 1), now: 0).snapshotFrame(encoder) !== frame)
    var other = wish()
    other.compressed = true
    #expect(topic.subscribe(other, now: 0).snapshotFrame(encoder) !== frame)
    _ = try publish(topic)
    #expect(topic.subscribe(wish(), now: 0).snapshotFrame(encoder) !== frame)
    // One that was made before the message is not kept.
    topic.keep(frame, of: cut)
    #expect(topic.subscribe(wish(), now: 0).snapshotFrame(encoder) !== frame)
  }

  @Test func freshnessIsAboutMessagesAlone() throws {
    let topic = makeTopic { $0.staleAfter = 4_000_000_000 }
    #expect(topic.freshnessDeadline == 4_000_000_000 && !topic.checkFreshness(now: 3_999_999_999))
    #expect(topic.checkFreshness(now: 4_000_000_000) && !topic.checkFreshness(now: 5_000_000_000))
    #expect(topic.state == .stale && topic.freshnessDeadline == nil)
    // The owner's word does not make old data new.
    #expect(!topic.set(.live) && topic.state == .stale)
    #expect(try publish(topic, now: 6_000_000_000) == .appended(offset: 1, endsStale: true))
    #expect(topic.state == .live && topic.freshnessDeadline == 10_000_000_000)
    #expect(topic.set(.failover, feed: Array("b-1"), cause: Array("reset")))
    #expect(!topic.set(.failover, feed: Array("b-1"), cause: Array("reset")))
    #expect(try publish(topic, now: 7_000_000_000) == .appended(offset: 2, endsStale: false))
    #expect(
      text(topic.stateMessage(now: 9_500_000_000))
        == #"{"type":"topic_state","topic":"t","state":"failover","age":2.5,"feed":"b-1","cause":"reset"}"#)
    #expect(topic.checkFreshness(now: 12_000_000_000))
    #expect(
      text(topic.stateMessage(now: 12_000_000_000))
        == #"{"type":"topic_state","topic":"t","state":"stale","age":5,"feed":"b-1","cause":"no data for 4 s"}"#)
    #expect(topic.set(.ended) && topic.state == .ended && topic.freshnessDeadline == nil)
    #expect(topic.set(.live, cause: Array(String(repeating: "a", count: 255) + "€")))
    #expect(object(topic.stateMessage(now: 0))["cause"] as? String == "no data for 4 s")
  }
}

@Suite struct PeerQueueTests {
  @Test func anIdleQueueIsSmall() throws {
    let queue = PeerQueue(QueueRules(policy: .conflate, maxMessages: 1, maxBytes: 1), compresses: false)
    // malloc.h is not in Swift's module of the C library.
    let function = try #require(dlsym(nil, "malloc_usable_size"))
    let usableSize = unsafeBitCast(function, to: (@convention(c) (UnsafeRawPointer) -> Int).self)
    let size = withExtendedLifetime(queue) { usableSize(Unmanaged.passUnretained(queue).toOpaque()) }
    #expect(size > 100 && size < 200)
  }

  @Test func controlFramesGoFirstAndAreBounded() throws {
    let info = makeInfo("t")
    let topic = Topic(info, epoch: [0x65], seed: 1, now: 0)
    topic.attach(0)
    for _ in 0..<100 { _ = topic.append(try publication(info, Array("1")).get(), now: 0) }
    var deliveries: [Delivery] = []
    topic.read(0, into: &deliveries, now: 0)
    let queue = PeerQueue(QueueRules(policy: .dropOldest, maxMessages: 1000, maxBytes: 1 << 20), compresses: false)
    let subscription = queue.subscribe(info, .plain, at: TopicPosition())
    for delivery in deliveries { queue.offer(delivery, subscription) }
    let pong = SharedFrame.control(.pong, UnsafeRawBufferPointer(start: nil, count: 0))
    queue.control(pong)
    #expect(queue.controlBytes == 2)
    let encoder = FrameEncoder()
    queue.fill(encoder)
    #expect(queue.outgoingCount == 64 && queue.outgoing(0).count == 2 && queue.outgoing(64).isEmpty && queue.controlBytes == 0)
    queue.unsubscribe(subscription)
    #expect(subscription.queue == nil && queue.books.dropped == 100 - 63 && queue.subscriptionCount == 0)
    let seen = drain(queue, encoder, Decoder(compressed: false))
    #expect(seen.count == 64 && seen[0] == .pong([]) && queue.books.written == 63 && queue.books.queued == 0)
    #expect(queue.offer(deliveries[0], subscription) == .queued && !queue.hasWork)
  }

  @Test func largeFramesLeaveOneByOne() throws {
    let info = makeInfo("t") { $0.isBinary = true }
    let topic = Topic(info, epoch: [0x65], seed: 1, now: 0)
    topic.attach(0)
    for _ in 0..<3 { _ = topic.append(try publication(info, [UInt8](repeating: 1, count: 300 << 10)).get(), now: 0) }
    var deliveries: [Delivery] = []
    topic.read(0, into: &deliveries, now: 0)
    let queue = PeerQueue(QueueRules(policy: .dropOldest, maxMessages: 10, maxBytes: 1 << 20), compresses: false)
    let subscription = queue.subscribe(info, .pulse, at: TopicPosition())
    for delivery in deliveries { queue.offer(delivery, subscription) }
    queue.fill(FrameEncoder())
    #expect(queue.outgoingCount == 1 && queue.queuedMessages == 3)
    queue.advance(1000)
    #expect(queue.outgoingBytes == queue.outgoing(0).count && queue.books.written == 0)
    queue.end()
    #expect(queue.books.dropped == 3 && !queue.hasWork && subscription.queue == nil)
  }
}
