// SPDX-License-Identifier: Apache-2.0
import CPulseWS

/// A hub of the library.
final class LibraryHub: @unchecked Sendable {  // nothing changes after init; the library takes calls of any thread
  let handle: OpaquePointer
  private let loop: LibraryLoop?

  /// `loop` nil: as many of its own as option loops says.
  init(_ loop: LibraryLoop?) throws(LibraryFailure) {
    self.loop = loop
    var made: OpaquePointer?
    try library { pulsews_hub_create(loop?.handle, &made, $0, $1) }
    guard let made else { throw LibraryFailure(code: Int32(PULSEWS_ENOMEM), sentence: "the library gave no hub") }
    handle = made
  }

  /// Nobody may be in a call on it.
  deinit { pulsews_hub_free(handle) }

  func make(_ call: HubCall) throws(LibraryFailure) {
    switch call {
    case .set(let name, let value): try library { pulsews_hub_set(handle, name, value, $0, $1) }
    case .listen(let address): try library { pulsews_hub_listen(handle, address, $0, $1) }
    case .route(let path, let name, let value): try library { pulsews_hub_route(handle, path, name, value, $0, $1) }
    case .topic(let pattern, let name, let value): try library { pulsews_hub_topic(handle, pattern, name, value, $0, $1) }
    case .key(let name, let algorithm, let material):
      let bytes = Array(material.utf8)
      try library { pulsews_hub_key(handle, name, algorithm, bytes, bytes.count, $0, $1) }
    }
  }

  /// A message for a topic; stamps are ns since 1970, 0 for none.
  struct Message {
    let key: String
    let text: String
    var exchange: Int64 = 0
    var received: Int64 = 0
  }

  /// nil, or why it was not published.
  func publish(_ topic: String, _ message: Message) -> String? {
    withPublication(topic, message) { publication in
      let count = pulsews_hub_publish_batch(handle, &publication, 1)
      return count == 1 ? nil : HubDaemon.text(pulsews_error_text(count))
    }
  }

  /// Puts a message into a topic's past, before the hub starts.
  func load(_ topic: String, _ message: Message) -> String? {
    withPublication(topic, message) { publication in
      let code = pulsews_hub_load(handle, topic, &publication, 1)
      return code == OK.code ? nil : HubDaemon.text(pulsews_error_text(code))
    }
  }

  private func withPublication<R>(_ topic: String, _ message: Message, _ body: (inout pulsews_hub_publication) -> R) -> R {
    var text = message.text
    return topic.withCString { topic in
      message.key.withCString { key in
        text.withUTF8 { bytes in
          var publication = pulsews_hub_publication(
            topic: topic, key: key, data: bytes.baseAddress, length: bytes.count, offset: 0, exchange_ns: message.exchange,
            received_ns: message.received, published_ns: message.received)
          return body(&publication)
        }
      }
    }
  }

  /// Until its next message.
  func setStale(_ topic: String, _ cause: String) { pulsews_hub_topic_state(handle, topic, Int32(PULSEWS_TOPIC_STALE), cause) }

  /// What a newcomer would be given of a topic: the text of its `snapshot`; nil if nobody has made the topic.
  func snapshot(_ topic: String) -> String? { libraryText { pulsews_hub_topic_json(handle, topic, $0, $1) } }

  func start() throws(LibraryFailure) { try library { pulsews_hub_start(handle, $0, $1) } }

  /// Certificate and key are read anew.
  func reload() throws(LibraryFailure) { try library { pulsews_hub_reload(handle, $0, $1) } }

  /// Begins to drain; event drained tells the end.
  func beginDrain() { _ = pulsews_hub_drain(handle, -1, 0) }

  /// Where it listens.
  var addresses: [String] {
    var found: [String] = []
    while let address = libraryText({ pulsews_hub_address(handle, found.count, $0, $1) }), !address.isEmpty { found.append(address) }
    return found
  }
}
