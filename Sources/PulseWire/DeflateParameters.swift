// SPDX-License-Identifier: Apache-2.0

/// What both sides agreed on for permessage-deflate (RFC 7692 §7.1).
package struct DeflateParameters: Equatable, Sendable {
  /// The client starts every message with an empty history (RFC 7692 §7.1.1.2).
  package var clientNoContextTakeover: Bool
  /// The server starts every message with an empty history (RFC 7692 §7.1.1.1).
  package var serverNoContextTakeover: Bool
  /// The client looks back at most 2^n bytes; 8...15 (RFC 7692 §7.1.2.2).
  package var clientMaxWindowBits: Int { Int(clientBits) }
  /// The server looks back at most 2^n bytes; 8...15 (RFC 7692 §7.1.2.1).
  package var serverMaxWindowBits: Int { Int(serverBits) }
  // Every connection has these.
  private let clientBits: UInt8
  private let serverBits: UInt8

  package init(
    clientNoContextTakeover: Bool = false, serverNoContextTakeover: Bool = false,
    clientMaxWindowBits: Int = 15, serverMaxWindowBits: Int = 15
  ) {
    self.clientNoContextTakeover = clientNoContextTakeover
    self.serverNoContextTakeover = serverNoContextTakeover
    clientBits = UInt8(clamping: clientMaxWindowBits)
    serverBits = UInt8(clamping: serverMaxWindowBits)
  }

  /// Whether the sender in `role` forgets everything between messages.
  func noContextTakeover(of role: Role) -> Bool {
    role == .client ? clientNoContextTakeover : serverNoContextTakeover
  }

  /// How far the sender in `role` looks back, as a power of two.
  func windowBits(of role: Role) -> Int {
    role == .client ? clientMaxWindowBits : serverMaxWindowBits
  }
}
