// SPDX-License-Identifier: Apache-2.0

/// What a TLS context is made from.
package final class TLSSettings {
  /// PEM certificates to trust in place of the system's.
  package let caFile: String?
  /// False accepts any certificate for any host, if it has a key of `pins`.
  package let verifies: Bool
  /// PEM: the certificate that a client shows, then those between it and its root.
  package var certificateFile: String?
  /// PEM; nil if the key is in `certificateFile`.
  package var keyFile: String?
  package var keyPassword: String?
  /// SHA-256 values of public keys, 32 bytes each, one after another. If there are any, a server must have one of them,
  /// in its certificate or in one above it.
  package var pins: [UInt8] = []
  package var requires13 = false
  /// Sessions are kept for the next connection.
  package var resumes = true

  package init(caFile: String? = nil, verify: Bool = true) {
    self.caFile = caFile
    verifies = verify
  }
}
