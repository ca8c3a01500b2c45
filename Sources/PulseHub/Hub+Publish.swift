// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// What the application and its services say to peers. Nothing here waits.
extension Hub {
  /// The offset that the message got.
  package func publish(
    _ name: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer?, _ payload: UnsafeRawBufferPointer, _ stamps: Stamps
  ) -> Result<UInt64, Failure> {
    let problem: Failure
    switch topics.get(name) {
    case .topic(let topic): return publish(topic, key, payload, stamps)
    case .badName: problem = Failure(.invalidArgument, "a topic's name is 1 to 256 bytes of UTF-8 without control characters")
    case .unknown, .full, .forbidden, .noRoom: problem = Failure(.noMemory, "there are \(HubTopicTable.most) topics, the most there may be")
    }
    published.refused.wrappingAdd(1, ordering: .relaxed)
    return .failure(problem)
  }

  func publish(
    _ topic: HubTopic, _ key: UnsafeRawBufferPointer?, _ payload: UnsafeRawBufferPointer, _ stamps: Stamps
  ) -> Result<UInt64, Failure> {
    if unread.load(ordering: .relaxed) &+ payload.count > options.publishQueueBytes {
      published.refused.wrappingAdd(1, ordering: .relaxed)
      return .failure(Failure(.queueFull, "the loops are behind with \(options.publishQueueBytes) bytes (publish_queue_bytes)"))
    }
    var stamps = stamps
    stamps.published = psys_realtime_ns()
    switch Publication.make(topic.info, payload, key: key, stamps) {
    case .failure(let problem):
      published.refused.wrappingAdd(1, ordering: .relaxed)
      return .failure(Failure(problem == .keyTooLong ? .invalidArgument : .badValue, "\(problem.sentence)"))
    case .success(let publication):
      published.messages.wrappingAdd(1, ordering: .relaxed)
      published.bytes.wrappingAdd(UInt64(payload.count), ordering: .relaxed)
      return append(publication, to: topic)
    }
  }

  private func append(_ publication: Publication, to topic: HubTopic) -> Result<UInt64, Failure> {
    topic.mutex.lock()
    let before = topic.topic.unreadBytes
    let verdict = topic.topic.append(publication, now: Clock.monotonic())
    let after = topic.topic.unreadBytes
    let toWake = topic.readers & ~topic.notified
    topic.notified |= toWake
    topic.mutex.unlock()
    if after != before { unread.wrappingAdd(after &- before, ordering: .relaxed) }
    guard case .appended(let offset, let hasNews) = verdict else {
      return .failure(Failure(.invalidArgument, "the offset is not above the last one"))
    }
    var left = toWake
    while left != 0 {
      let index = left.trailingZeroBitCount
      left &= left &- 1
      loop(index)?.notify(topic)
    }
    if hasNews { stateChanged(topic) }
    return .success(offset)
  }

  /// Loops stay the same from the start to the end.
  func loop(_ index: Int) -> HubLoop? { index < loops.count ? loops[index] : nil }

  package func load(
    _ name: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer?, _ payload: UnsafeRawBufferPointer, _ stamps: Stamps,
    offset: UInt64
  ) -> Failure? {
    if state != .made { return Failure(.busy, "the hub is started; this comes before") }
    guard case .topic(let topic) = topics.get(name) else {
      return Failure(.invalidArgument, "this can't be the name of a topic, or there are too many")
    }
    switch Publication.make(topic.info, payload, key: key, stamps) {
    case .failure(let problem): return Failure(.badValue, "\(problem.sentence)")
    case .success(let publication):
      return topic.mutex.withLock {
        let verdict = topic.topic.append(publication, offset: offset == 0 ? nil : offset, now: Clock.monotonic())
        if case .appended = verdict { return nil }
        return Failure(.invalidArgument, "offsets rise")
      }
    }
  }

  package func setState(_ name: UnsafeRawBufferPointer, _ state: TopicState, _ cause: [UInt8]) -> StatusCode {
    guard case .topic(let topic) = topics.get(name) else { return .invalidArgument }
    if topic.mutex.withLock({ topic.topic.set(state, feed: [], cause: cause) }) { stateChanged(topic) }
    return .ok
  }

  func stateChanged(_ topic: HubTopic) {
    let readers = topic.mutex.withLock { topic.readers }
    for loop in loops where readers >> UInt64(loop.index) & 1 != 0 { loop.send(HubCommand(.topicState(topic))) }
  }

  // MARK: Peers

  /// `peer` 0: to all.
  package func send(_ peer: UInt64, isText: Bool, _ payload: UnsafeRawBufferPointer) -> StatusCode {
    if isText, !isValidUTF8(payload) { return .notUTF8 }
    let frame = SharedFrame(isText ? .text : .binary, payload)
    if peer == 0 {
      for loop in loops { loop.send(HubCommand(.send(frame))) }
      return .ok
    }
    return command(HubCommand(.send(frame), peer))
  }

  package func close(_ peer: UInt64, _ code: UInt16, _ reason: [UInt8]) -> StatusCode {
    if !CloseCode.isAllowedOnWire(code) { return .invalidArgument }
    return command(HubCommand(.close(code, reason), peer))
  }

  package func subscribe(_ peer: UInt64, to name: UnsafeRawBufferPointer, _ wants: Bool) -> StatusCode {
    guard case .topic(let topic) = topics.get(name) else { return .invalidArgument }
    return command(HubCommand(wants ? .subscribe(topic) : .unsubscribe(topic), peer))
  }

  /// `lines`: "Name: value", one a line.
  package func answer(_ request: UInt64, _ status: Int, _ lines: [UInt8], _ body: [UInt8]) -> StatusCode {
    var headers: [HTTPHeader] = []
    for line in Pieces(lines[...], separator: 0x0A) {
      let text = HTTPText.trimmed(line)
      if text.isEmpty { continue }
      guard let colon = text.firstIndex(of: 0x3A) else { return .badValue }
      headers.add(String(bytes: text[..<colon]), String(bytes: HTTPText.trimmed(text[(colon + 1)...])))
    }
    let response = Response(status, headers: headers, body: body)
    if status != 101, response.problem != nil { return .badValue }
    return command(HubCommand(.answer(response), request))
  }

  /// Takes a connection over that another server accepted.
  package func adopt(_ descriptor: Int32, _ first: [UInt8]) -> StatusCode {
    if psys_is_stream_socket(descriptor) != 1 { return .invalidArgument }
    guard state == .running, let loop = loop(Int(UInt32(bitPattern: descriptor)) % max(loops.count, 1)) else { return .notConnected }
    // A descriptor that is refused stays as it was.
    if psys_set_nonblocking(descriptor) != 0 { return .invalidArgument }
    var peer = psys_address()
    let from = psys_peer_address(descriptor, &peer) == 0 ? SocketAddress(peer) : nil
    psys_tcp_options(descriptor)
    loop.send(HubCommand(.adopt(TCPStream(descriptor: descriptor, peer: from?.description ?? "a client"), from, first)))
    return .ok
  }

  private func command(_ command: HubCommand) -> StatusCode {
    guard let loop = loop(HubLoop.index(of: command.number)) else { return .invalidArgument }
    loop.send(command)
    return .ok
  }

  // MARK: Events

  func emit(_ event: HubEvent) {
    if options.events.contains(event.kind) { events.append(event) }
  }

  /// nil when no more will come.
  package func nextEvents(_ most: Int, until deadline: Int64) -> [HubEvent]? {
    var madeRoom = false
    let taken = events.take(most, until: deadline, madeRoom: &madeRoom)
    if madeRoom {
      for loop in loops { loop.send(HubCommand(.resume)) }
    }
    return taken
  }

  package func wakeDescriptor() -> Int32 { events.wakeDescriptor() }
}
