// SPDX-License-Identifier: Apache-2.0

/// What a peer sends to a hub: within its limits whatever comes, and what answers repeat of it is JSON in one line.
func fuzzPeerMessage(_ bytes: UnsafeRawBufferPointer) {
  if !isValidUTF8(bytes) { return }
  // In memory of its own, so that the address sanitizer sees a read behind its end.
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { memory.deallocate() }
  memory.copyMemory(from: bytes)
  let message = PeerMessage.parse(UnsafeRawBufferPointer(memory))
  checkEcho(message.id)
  switch message.content {
  case .ping(let sent):
    checkEcho(sent)
    checkJSON(HubMessage.pong(id: message.id, sent: sent, time: 1))
  case .subscribe(let wishes), .unsubscribe(let wishes):
    fuzzRequire(!wishes.isEmpty && wishes.count <= PeerMessage.maxTopics, "a list is empty or long")
    for wish in wishes {
      fuzzRequire(wish.name.withUnsafeBytes { TopicName.isValid($0) }, "a name is not valid")
      fuzzRequire(wish.history >= 0 && wish.history <= PeerMessage.maxHistory, "a count is out of range")
      fuzzRequire((wish.since?.epoch.count ?? 1) > 0 && (wish.since?.epoch.count ?? 1) <= 32, "an epoch is empty or long")
      checkJSON(HubMessage.unsubscribed(wish.name, id: message.id))
      if let pattern = TopicPattern(wish.name) {
        fuzzRequire(!pattern.isName || pattern.matches(wish.name), "a name does not match itself")
        fuzzRequire(!pattern.isMoreSpecific(than: pattern), "a pattern is more specific than itself")
      }
    }
  case .auth(let token):
    fuzzRequire(!token.isEmpty && token.count <= PeerMessage.maxToken, "a token is empty or long")
  case .application:
    fuzzRequire(message.id.isEmpty, "an id of a message that is not answered")
  case .invalid(let problem):
    checkJSON(HubMessage.error(id: message.id, code: problem.code, message: Array(problem.sentence.bytes)))
  }
  publish(UnsafeRawBufferPointer(memory))
}

/// The same bytes as a publisher's payload: accepted only if the message around them is JSON.
private func publish(_ payload: UnsafeRawBufferPointer) {
  var settings = TopicSettings()
  settings.latest = true
  if case .success(let path) = JSONPath.parse(Array("topics[0].topic".utf8)) { settings.conflate = path }
  let info = TopicInfo(name: Array("a\"b".utf8), number: 1, settings: settings)
  guard case .success(let publication) = Publication.make(info, payload, Stamps()) else { return }
  let topic = Topic(info, epoch: Array("e".utf8), seed: 1, now: 0)
  fuzzRequire(topic.append(publication, now: 0) == .appended(offset: 1, endsStale: false), "refused")
  let encoder = FrameEncoder()
  let frame = Delivery(publication, previous: 0).frame(.pulse, compressed: false, info, encoder)
  if let snapshot = topic.subscribe(SubscribeWish(), now: 0).snapshotFrame(encoder) { checkFrame(snapshot) }
  checkFrame(frame)
}

private func checkFrame(_ frame: SharedFrame) {
  let client = WireConnection(configuration: WireConfiguration(role: .client))
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.count, alignment: 1)
  defer { memory.deallocate() }
  withExtendedLifetime(frame) { memory.copyMemory(from: frame.bytes) }
  var offset = 0
  guard case .message(let message) = client.receive(memory, from: &offset) else {
    return fuzzRequire(false, "no frame")
  }
  checkJSON(Array(message.payload))
  fuzzRequire(offset == frame.count, "more than a frame")
}

private func checkEcho(_ value: [UInt8]) {
  fuzzRequire(value.count <= 64, "what is repeated is long")
  if !value.isEmpty { checkJSON(value) }
}

private func checkJSON(_ text: [UInt8]) {
  text.withUnsafeBytes {
    var scanner = JSONScanner($0)
    fuzzRequire(scanner.skipValue() && scanner.isAtEnd() && isValidUTF8($0), "not JSON")
  }
}
