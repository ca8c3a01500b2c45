// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

package enum TransportErrorCode: UInt8, Sendable {
  /// The host name has no address.
  case resolve
  /// Nobody listens at the address.
  case refused
  /// No route to the host or network.
  case unreachable
  /// The peer reset the connection.
  case reset
  /// The peer ended the connection without the end that its protocol asks for.
  case eof
  case timeout
  /// Another error of the operating system.
  case io
  /// No file descriptor or thread is left.
  case files
  case memory
  /// The TLS handshake or record layer failed.
  case tls
  /// The certificate does not verify, for another reason than those that follow.
  case certificate
  /// The certificate is for another host.
  case hostname
  case expired
  case notYetValid
  /// The certificate comes from an authority that is not trusted, or from itself.
  case unknownCA
  /// The certificate is not meant for servers.
  case purpose
  /// No key of the server is one of the pinned ones.
  case pin
  /// There is no version of TLS that both sides accept.
  case tlsVersion
  /// The stream was cut after the handshake: it ended without close_notify.
  case truncated
  /// The server wants a client certificate, or refuses the one it got.
  case clientCertificate
  /// The trusted certificates, or this side's own certificate and key, can't be loaded.
  case trust
  /// A proxy refused, can't be reached, or is none.
  case proxy
  /// A proxy wants other credentials.
  case proxyLogin
}

package final class TransportError: Error, Sendable {
  package let code: TransportErrorCode
  /// The system's error number; 0 if there is none.
  package let errno: Int32
  /// One sentence without a full stop that names what was tried and the cause.
  package let text: String

  package init(_ code: TransportErrorCode, errno: Int32 = 0, _ text: Sentence) {
    self.code = code
    self.errno = errno
    self.text = sentence(text)
  }

  /// From an errno value; the sentence is `action`, a colon and the system's text.
  package convenience init(errno: Int32, _ action: Sentence) {
    self.init(Self.code(of: errno), errno: errno, "\(action): \(systemText(errno))")
  }

  static func code(of errno: Int32) -> TransportErrorCode {
    switch errno {
    case psys_ECONNREFUSED: .refused
    case psys_ENETUNREACH, psys_EHOSTUNREACH, psys_EADDRNOTAVAIL, psys_EAFNOSUPPORT, psys_ENETDOWN, psys_EHOSTDOWN:
      .unreachable
    case psys_ECONNRESET, psys_EPIPE, psys_ECONNABORTED: .reset
    case psys_ETIMEDOUT: .timeout
    case psys_EMFILE, psys_ENFILE: .files
    case psys_ENOMEM, psys_ENOBUFS: .memory
    default: .io
    }
  }
}

/// The system's words for an errno value, with a small first letter so that they go on in a sentence.
func systemText(_ errno: Int32) -> String {
  var bytes = [CChar](repeating: 0, count: 128)
  bytes.withUnsafeMutableBufferPointer { buffer in
    if let start = buffer.baseAddress { psys_error_text(errno, start, buffer.count) }
  }
  return lowercasingFirst(text(of: bytes))
}

/// The text up to the first NUL.
func text(of bytes: [CChar]) -> String {
  var units: [UInt8] = []
  for byte in bytes {
    if byte == 0 { break }
    units.append(UInt8(bitPattern: byte))
  }
  return String(bytes: units)
}

/// "Connection refused" -> "connection refused", but "SSL ..." stays: only when the second letter is small.
func lowercasingFirst(_ text: String) -> String {
  var units = text.bytes
  if units.count >= 2, units[0] >= 65, units[0] <= 90, units[1] >= 97, units[1] <= 122 {
    units[0] |= 0x20
    return String(bytes: units)
  }
  return text
}
