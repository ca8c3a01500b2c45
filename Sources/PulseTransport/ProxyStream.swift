// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// A tunnel through a proxy, over TCP, or over TLS to the proxy. Its handshake is that of the layer below and then the
/// talk with the proxy; from then on it is the layer below.
package final class ProxyStream: ByteStream, @unchecked Sendable {  // guarded by the owner, who serialises the calls
  private let lower: ByteStream
  /// The proxy without user and password, for sentences.
  private let name: String
  private var dialogue: ProxyDialogue
  private var lowerIsOpen = false
  private var isOpen = false
  private var failure: TransportError?
  /// The proxy could not reach the address that it was asked for: another one may do.
  package private(set) var refusedAddress = false

  /// - Parameters:
  ///   - host: the target, a name or an address without brackets.
  ///   - address: what to name to a SOCKS5 proxy in place of the host; nil: the host.
  package init(over lower: ByteStream, proxy: ProxyURL, host: String, port: UInt16, address: SocketAddress?) {
    self.lower = lower
    name = proxy.name
    let literal = address ?? AddressResolver.literal(host, port: port)
    switch proxy.scheme {
    case .http, .https:
      let authority: Sentence = literal?.isIPv6 == true ? "[\(host)]:\(port)" : "\(host):\(port)"
      dialogue = ProxyDialogue(connect: authority.bytes, authorization: Self.authorization(proxy))
    case .socks5, .socks5h:
      var target = ProxyDialogue.Target.name(host.bytes)
      if let literal { target = .address(literal.networkBytes) }
      dialogue = ProxyDialogue(socks: target, port: port, user: proxy.user, password: proxy.password)
    }
    super.init()
  }

  /// RFC 7617 §2.
  private static func authorization(_ proxy: ProxyURL) -> [UInt8] {
    if !proxy.hasLogin { return [] }
    let login = proxy.user + [UInt8(ascii: ":")] + proxy.password
    // With room for the NUL that OpenSSL puts behind it.
    var text = [UInt8](repeating: 0, count: (login.count + 2) / 3 * 4 + 1)
    let size = Int32(truncatingIfNeeded: login.count)
    let count = text.withUnsafeMutableBufferPointer { out in
      login.withUnsafeBufferPointer { EVP_EncodeBlock(out.baseAddress, $0.baseAddress, size) }
    }
    let scheme: Sentence = "Basic "
    return scheme.bytes + text.prefix(Int(max(count, 0)))
  }

  // MARK: ByteStream

  package override func handshake() -> IOResult {
    if isOpen { return .bytes(0) }
    if let failure { return .failed(failure) }
    if !lowerIsOpen {
      switch lower.handshake() {
      case .bytes: lowerIsOpen = true
      case .wouldBlock: return .wouldBlock
      case .end: return fail(.proxy, "the proxy \(name): it ended the connection during the TLS handshake")
      case .failed(let error): return fail(below: error)
      }
    }
    return talk()
  }

  private func talk() -> IOResult {
    while true {
      if !dialogue.outgoing.isEmpty {
        let result = dialogue.outgoing.withUnsafeBytes { lower.write($0) }
        switch result {
        case .bytes(let count): dialogue.sent(count)
        case .wouldBlock: return .wouldBlock
        case .end: return ended()
        case .failed(let error): return fail(below: error)
        }
        continue
      }
      let wanted = max(dialogue.wanted, 1)
      var progress = ProxyDialogue.Progress.needMoreBytes
      let result = withUnsafeTemporaryAllocation(byteCount: wanted, alignment: 1) { buffer in
        let result = lower.read(into: buffer)
        if case .bytes(let count) = result {
          progress = dialogue.receive(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[0..<count]))
        }
        return result
      }
      switch result {
      case .bytes:
        switch progress {
        case .needMoreBytes: break
        case .open:
          isOpen = true
          return .bytes(0)
        case .refused(let refusal): return fail(refusal)
        }
      case .wouldBlock: return .wouldBlock
      case .end: return ended()
      case .failed(let error):
        if let refusal = dialogue.finish() { return fail(refusal) }
        return fail(below: error)
      }
    }
  }

  /// It has refused, and only (more of) its body is missing.
  package var isReadingBody: Bool { dialogue.isReadingBody }

  /// The time is over: what the proxy has said so far, if that is a refusal.
  package func timedOut() -> TransportError? {
    if isOpen || failure != nil { return failure }
    if let refusal = dialogue.finish() { _ = fail(refusal) }
    return failure
  }

  package override func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
    isOpen ? lower.read(into: buffer) : unopened()
  }

  package override func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
    isOpen ? lower.write(bytes) : unopened()
  }

  package override var needsReadable: Bool { lower.needsReadable || (!isOpen && dialogue.outgoing.isEmpty) }
  package override var needsWritable: Bool {
    lower.needsWritable || (!isOpen && lowerIsOpen && !dialogue.outgoing.isEmpty)
  }
  package override var hasBufferedInput: Bool { lower.hasBufferedInput }
  package override var committedBytes: Int { lower.committedBytes }
  package override func shutdown() { if isOpen { lower.shutdown() } }
  package override func close() { lower.close() }
  package override var descriptor: Int32 { lower.descriptor }

  // MARK: Failures

  private func unopened() -> IOResult {
    if let failure { return .failed(failure) }
    return .wouldBlock
  }

  private func fail(_ code: TransportErrorCode, _ text: Sentence) -> IOResult {
    let error = TransportError(code, text)
    failure = error
    return .failed(error)
  }

  private func fail(_ refusal: ProxyRefusal) -> IOResult {
    refusedAddress = refusal.isOfAddress
    return fail(refusal.isLogin ? .proxyLogin : .proxy, "the proxy \(name): \(refusal.text)")
  }

  private func fail(below error: TransportError) -> IOResult {
    let error = error.atProxy(name)
    failure = error
    return .failed(error)
  }

  private func ended() -> IOResult {
    if let refusal = dialogue.finish() { return fail(refusal) }
    return fail(
      .proxy,
      dialogue.hasAnswer
        ? "the proxy \(name): it ended the connection in the middle of its answer"
        : "the proxy \(name): it ended the connection without an answer (is it a proxy of this kind?)")
  }
}

extension TransportError {
  /// What happened on the way to a proxy: it is named, and but for certificates and the own system the code is the
  /// proxy's.
  package func atProxy(_ name: String) -> TransportError {
    let code: TransportErrorCode =
      switch self.code {
      case .resolve, .refused, .unreachable, .reset, .eof, .timeout, .io, .tls: .proxy
      default: self.code
      }
    return TransportError(code, errno: errno, "the proxy \(name): \(text)")
  }
}

extension SocketAddress {
  /// The address without the port: 4 or 16 bytes in network order.
  var networkBytes: [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<(isIPv6 ? 16 : 4) {
      // In memory they lie in network order; an IPv4 address in the second word.
      let word = isIPv6 && index < 8 ? storage.high : storage.low
      bytes.append(UInt8(truncatingIfNeeded: word.littleEndian >> UInt64((index & 7) * 8)))
    }
    return bytes
  }
}
