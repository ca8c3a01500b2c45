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
