// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import PulseText

/// What was negotiated.
extension TLSStream {
  /// "TLSv1.3"; empty before the handshake.
  package var version: String {
    guard let ssl = handle, isOpen, let name = SSL_get_version(ssl) else { return "" }
    return String(cText: name)
  }

  /// What ALPN chose; empty if nothing.
  package var applicationProtocol: String {
    guard let ssl = handle else { return "" }
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &length)
    return String(bytes: UnsafeBufferPointer(start: name, count: Int(length)))
  }

  /// The name that the client asked for (SNI); empty if none.
  package var requestedServerName: String {
    guard let ssl = handle, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return "" }
    return String(cText: name)
  }
}
