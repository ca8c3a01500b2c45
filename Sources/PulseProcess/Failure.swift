// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseTransport
import PulseWire

/// Why something ended: the code, the sentence for people, and what the peer said about it. Who makes one adds to it; those it
/// is handed to only look.
package final class Failure: Error, @unchecked Sendable {
  package let code: StatusCode
  package var text: String
  /// The peer's close code: 1005 if its close frame had none, 1006 without a close frame.
  package var closeCode: UInt16 = 1006
  package var closeReason = ""
  /// Of a refused handshake; 0 else.
  package var httpStatus = 0
  /// Seconds that the server asked to wait; nil if it did not.
  package var retryAfter: Int?
  /// Another address of the same name may do.
  package var isOfOneAddress = false
  /// The application wants no retry.
  package var isFinal = false
  /// A message of the server's rejected a login or a subscription.
  package var isRejection = false

  @inline(never) package convenience init(_ code: StatusCode, _ text: Sentence) { self.init(code, text: sentence(text)) }

  @inline(never) package init(_ code: StatusCode, text: String) {
    self.code = code
    self.text = text
  }

  /// Whether a retry can't be expected to mend it.
  package var isFatal: Bool {
    code.isFinal || (code == .handshake && (httpStatus == 401 || httpStatus == 403 || httpStatus == 404))
  }

  /// Behind a TCP connection: whether it may be due to the address, and not to what was asked, or to this side.
  package var isOfAddress: Bool {
    switch code {
    case .closed, .moved, .invalidArgument, .redirect, .proxyLogin, .noFiles, .noMemory, .trust: false
    case .handshake: httpStatus / 100 != 3 && httpStatus / 100 != 4
    default: true
    }
  }

  @inline(never) package convenience init(_ error: TransportError) {
    let code: StatusCode =
      switch error.code {
      case .resolve: .resolve
      case .refused: .refused
      case .unreachable: .unreachable
      case .reset: .reset
      case .eof: .endOfStream
      case .timeout: .openTimeout
      case .io: .io
      case .files: .noFiles
      case .memory: .noMemory
      case .tls: .tls
      case .certificate: .certificate
      case .hostname: .hostname
      case .expired: .expired
      case .notYetValid: .notYetValid
      case .unknownCA: .unknownCA
      case .purpose: .purpose
      case .pin: .pin
      case .tlsVersion: .tlsVersion
      case .truncated: .truncated
      case .clientCertificate: .clientCertificate
      case .trust: .trust
      case .proxy: .proxy
      case .proxyLogin: .proxyLogin
      }
    self.init(code, text: error.text)
  }
}
