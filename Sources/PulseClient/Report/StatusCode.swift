// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseTransport
import PulseWire

/// The status codes of the ABI. Values are pinned: they never change and are never used again.
package enum StatusCode: Int32, Sendable {
  case ok = 0
  case invalidArgument = -100
  case unknownOption = -101
  case badValue = -102
  case badURL = -103
  case notUTF8 = -104
  case forked = -105
  case busy = -106
  case timeout = -200
  case notConnected = -201
  case closed = -202
  case peerClosed = -203
  case queueFull = -204
  case rateLimited = -205
  case moved = -206
  case journal = -207
  case unsent = -208
  case protocolError = -300
  case invalidPayload = -301
  case deflate = -302
  case resolve = -400
  case refused = -401
  case unreachable = -402
  case reset = -403
  case endOfStream = -404
  case openTimeout = -405
  case dead = -406
  case io = -407
  case stale = -408
  case proxy = -409
  case proxyLogin = -410
  case slowConsumer = -411
  case tls = -500
  case certificate = -501
  case hostname = -502
  case trust = -503
  case expired = -504
  case notYetValid = -505
  case unknownCA = -506
  case purpose = -507
  case pin = -508
  case tlsVersion = -509
  case truncated = -510
  case clientCertificate = -511
  case handshake = -600
  case upgrade = -601
  case headers = -602
  case login = -603
  case subscribe = -604
  case redirect = -605
  case tooBig = -700
  case noMemory = -701
  case noFiles = -702
}

/// One line of the error table.
package struct StatusEntry {
  package let code: StatusCode
  package let name: Literal
  package let text: Literal
  /// Whether trying again, with nothing else changed, can help.
  package let isRetryable: Bool
}

extension StatusCode {
  /// The table, in the order of the header; nil behind the last entry.
  package static func entry(_ index: Int) -> StatusEntry? {
    func line(_ code: StatusCode, _ name: Literal, _ text: Literal, retry: Bool = false) -> StatusEntry {
      StatusEntry(code: code, name: name, text: text, isRetryable: retry)
    }
    switch index {
    case 0: return line(.invalidArgument, "PULSEWS_EINVAL", "an argument is missing or not allowed")
    case 1: return line(.unknownOption, "PULSEWS_EOPTION", "no option has that name")
    case 2: return line(.badValue, "PULSEWS_EVALUE", "the option does not take that value")
    case 3: return line(.badURL, "PULSEWS_EURL", "the URL is not one that can be connected to")
    case 4: return line(.notUTF8, "PULSEWS_EUTF8", "a text to send is not UTF-8")
    case 5: return line(.forked, "PULSEWS_EFORK", "the handle was made before fork()")
    case 6: return line(.busy, "PULSEWS_EBUSY", "another thread is inside a call that serves one thread at a time", retry: true)
    case 7: return line(.timeout, "PULSEWS_ETIMEOUT", "the time of the call is over", retry: true)
    case 8: return line(.notConnected, "PULSEWS_ENOTCONNECTED", "there is no open connection", retry: true)
    case 9: return line(.closed, "PULSEWS_ECLOSED", "the client was closed by this side")
    case 10: return line(.peerClosed, "PULSEWS_EPEERCLOSED", "the peer closed the connection", retry: true)
    case 11: return line(.queueFull, "PULSEWS_EQUEUEFULL", "the outbox is full", retry: true)
    case 12: return line(.rateLimited, "PULSEWS_ERATE", "the rate limits left no room in time", retry: true)
    case 13: return line(.moved, "PULSEWS_EMOVED", "this side left the connection for a new one", retry: true)
    case 14: return line(.journal, "PULSEWS_EJOURNAL", "the journal can't be used")
    case 15: return line(.unsent, "PULSEWS_EUNSENT", "the close came before accepted messages were sent")
    case 16: return line(.protocolError, "PULSEWS_EPROTOCOL", "the peer broke the WebSocket protocol", retry: true)
    case 17: return line(.invalidPayload, "PULSEWS_EPAYLOAD", "the peer sent a text that is not UTF-8", retry: true)
    case 18: return line(.deflate, "PULSEWS_EDEFLATE", "the peer sent compressed data that does not inflate", retry: true)
    case 19: return line(.resolve, "PULSEWS_ERESOLVE", "the host name has no address", retry: true)
    case 20: return line(.refused, "PULSEWS_EREFUSED", "the connection was refused", retry: true)
    case 21: return line(.unreachable, "PULSEWS_EUNREACHABLE", "there is no route to the host", retry: true)
    case 22: return line(.reset, "PULSEWS_ERESET", "the connection was reset", retry: true)
    case 23: return line(.endOfStream, "PULSEWS_EEOF", "the connection ended without a close frame", retry: true)
    case 24: return line(.openTimeout, "PULSEWS_EOPENTIMEOUT", "the connection was not open in time", retry: true)
    case 25: return line(.dead, "PULSEWS_EDEAD", "the peer sent nothing within heartbeat_timeout", retry: true)
    case 26: return line(.io, "PULSEWS_EIO", "the operating system reported an error", retry: true)
    case 27: return line(.stale, "PULSEWS_ESTALE", "the server sent no data, or no heartbeat, in time", retry: true)
    case 28: return line(.proxy, "PULSEWS_EPROXY", "the proxy refused, or is none", retry: true)
    case 29: return line(.proxyLogin, "PULSEWS_EPROXYAUTH", "the proxy wants other credentials")
    case 30: return line(.slowConsumer, "PULSEWS_ESLOW", "the queue of received messages was full (receive_queue_policy=disconnect)", retry: true)
    case 31: return line(.tls, "PULSEWS_ETLS", "TLS failed", retry: true)
    case 32: return line(.certificate, "PULSEWS_ECERTIFICATE", "the server's certificate does not verify")
    case 33: return line(.hostname, "PULSEWS_EHOSTNAME", "the server's certificate is for another host")
    case 34: return line(.trust, "PULSEWS_ETRUST", "the trusted certificates can't be loaded")
    case 35: return line(.expired, "PULSEWS_EEXPIRED", "a certificate of the server has expired")
    case 36: return line(.notYetValid, "PULSEWS_ENOTYETVALID", "a certificate of the server is not valid yet")
    case 37: return line(.unknownCA, "PULSEWS_EUNKNOWNCA", "the server's certificate comes from an authority that is not trusted")
    case 38: return line(.purpose, "PULSEWS_EPURPOSE", "the server's certificate is not meant for servers")
    case 39: return line(.pin, "PULSEWS_EPIN", "no key of the server is one of pin_sha256")
    case 40: return line(.tlsVersion, "PULSEWS_ETLSVERSION", "the server has no version of TLS that is accepted")
    case 41: return line(.truncated, "PULSEWS_ETRUNCATED", "the TLS stream was cut: it ended without close_notify", retry: true)
    case 42: return line(.clientCertificate, "PULSEWS_ECLIENTCERT", "the server wants a client certificate, or does not accept the one it got")
    case 43: return line(.handshake, "PULSEWS_EHANDSHAKE", "the server refused the WebSocket handshake", retry: true)
    case 44: return line(.upgrade, "PULSEWS_EUPGRADE", "the server's answer to the WebSocket handshake is not valid", retry: true)
    case 45: return line(.headers, "PULSEWS_EHEADERS", "the server's headers are malformed or too large", retry: true)
    case 46: return line(.login, "PULSEWS_ELOGIN", "the login was rejected, or not confirmed in time", retry: true)
    case 47: return line(.subscribe, "PULSEWS_ESUBSCRIBE", "a subscription was rejected, or not confirmed in time", retry: true)
    case 48: return line(.redirect, "PULSEWS_EREDIRECT", "a redirect of the server can't be followed")
    case 49: return line(.tooBig, "PULSEWS_ETOOBIG", "a message is larger than allowed", retry: true)
    case 50: return line(.noMemory, "PULSEWS_ENOMEM", "there is no memory", retry: true)
    case 51: return line(.noFiles, "PULSEWS_EFILES", "there is no file descriptor or thread", retry: true)
    default: return nil
    }
  }

  package static func entry(code: Int32) -> StatusEntry? {
    var index = 0
    while let entry = entry(index) {
      if entry.code.rawValue == code { return entry }
      index += 1
    }
    return nil
  }
}

/// Why something ended: the code, the sentence for people, and what the peer said about it.
package struct Failure: Sendable {
  package var code: StatusCode
  package var text: String
  /// The peer's close code: 1005 if its close frame had none, 1006 without a close frame.
  package var closeCode: UInt16 = 1006
  package var closeReason = ""
  /// Of a refused handshake; 0 else.
  var httpStatus = 0
  /// Seconds that the server asked to wait; nil if it did not.
  var retryAfter: Int?
  /// Another address of the same name may do.
  var isOfOneAddress = false
  /// The application wants no retry.
  var isFinal = false
  /// A message of the server's rejected a login or a subscription.
  var isRejection = false

  package init(_ code: StatusCode, _ text: Sentence) { self.init(code, text: sentence(text)) }

  package init(_ code: StatusCode, text: String) {
    self.code = code
    self.text = text
  }

  /// Whether a retry can't be expected to mend it.
  var isFatal: Bool {
    switch code {
    case .certificate, .hostname, .trust, .badURL, .invalidArgument: true
    case .expired, .notYetValid, .unknownCA, .purpose, .pin, .tlsVersion, .clientCertificate: true
    case .proxyLogin, .redirect: true
    case .handshake: httpStatus == 401 || httpStatus == 403 || httpStatus == 404
    default: false
    }
  }

  /// Behind a TCP connection: whether it may be due to the address, and not to what was asked, or to this side.
  var isOfAddress: Bool {
    switch code {
    case .closed, .moved, .invalidArgument, .redirect, .proxyLogin, .noFiles, .noMemory, .trust: false
    case .handshake: httpStatus / 100 != 3 && httpStatus / 100 != 4
    default: true
    }
  }

  package init(_ error: TransportError) {
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
