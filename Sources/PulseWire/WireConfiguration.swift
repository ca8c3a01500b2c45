// SPDX-License-Identifier: Apache-2.0

/// Which end of the connection this is. A client masks what it sends, a server does not (RFC 6455 §5.1).
package enum Role: Sendable {
  case client, server

  var peer: Role { self == .client ? .server : .client }
}

/// What one connection is to do, decided before its first frame.
package struct WireConfiguration: Sendable {
  package var role: Role
  /// The largest message to accept, in bytes; of a compressed one, after inflation.
  package var maxMessageSize: Int
  /// What the upgrade negotiated; nil without permessage-deflate.
  package var deflate: DeflateParameters?
  /// Shorter messages are not compressed, in bytes: it costs more than it saves.
  package var compressionThreshold: Int
  /// zlib's level, 1 (fast) to 9 (small).
  package var compressionLevel: Int32

  package init(
    role: Role, maxMessageSize: Int = 16 << 20, deflate: DeflateParameters? = nil, compressionThreshold: Int = 256,
    compressionLevel: Int32 = 3
  ) {
    self.role = role
    self.maxMessageSize = maxMessageSize
    self.deflate = deflate
    self.compressionThreshold = compressionThreshold
    self.compressionLevel = compressionLevel
  }
}
