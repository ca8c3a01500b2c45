// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Why a proxy did not open a tunnel. The sentence of `text` begins behind the proxy's name: "it refused with ...".
struct ProxyRefusal {
  /// It wants other credentials.
  var isLogin = false
  /// It could not reach the address that it was asked for; another one may do.
  var isOfAddress = false
  var text: Sentence
}

/// The talk with a proxy before the tunnel: HTTP CONNECT (RFC 9110 §9.3.6), or SOCKS5 (RFC 1928, RFC 1929). Without
/// I/O: `outgoing` is to be written, then `wanted` bytes at most to be read and given to `receive`, until that gives a
/// result.
///
/// It never asks for a byte that may belong to what comes behind the proxy's answer.
struct ProxyDialogue {
  enum Target {
    /// A host name in ASCII.
    case name([UInt8])
    /// 4 or 16 bytes in network order.
    case address([UInt8])
  }

  enum Progress {
    case needMoreBytes
    /// From the next byte on the stream is the target's.
    case open
    case refused(ProxyRefusal)
  }

  private enum State { case head, body, method, login, reply, boundAddress, done }

  /// Of an answer to CONNECT, the informational ones before it included.
  static let maxHeadSize = 16 << 10
  static let maxBodySize = 1 << 10

  private(set) var outgoing: [UInt8] = []
  private var state: State
  private var received: [UInt8] = []
  private var wantedNow: Int
  private var headSize = 0
  /// How many line ends in a row came last.
  private var lineFeeds = 0
  private var refusal: ProxyRefusal?
  private var bodyStart = 0
  private var bodyLimit = 0

  // SOCKS
  private let user: [UInt8]
  private let password: [UInt8]
  private let request: [UInt8]

  /// - Parameters:
  ///   - authority: "host:port" of the target, an IPv6 address in brackets.
  ///   - authorization: the value of Proxy-Authorization; empty for none.
  init(connect authority: [UInt8], authorization: [UInt8]) {
    state = .head
    wantedNow = 4
    user = []
    password = []
    request = []
    add("CONNECT ")
    outgoing += authority
    add(" HTTP/1.1\r\nHost: ")
    outgoing += authority
    if !authorization.isEmpty {
      add("\r\nProxy-Authorization: ")
      outgoing += authorization
    }
    add("\r\n\r\n")
  }

  /// User and password have at most 255 bytes each; without a user none is offered.
  init(socks target: Target, port: UInt16, user: [UInt8], password: [UInt8]) {
    state = .method
    wantedNow = 2
    self.user = user
    self.password = password
    var request: [UInt8] = [5, 1, 0]
    switch target {
    case .address(let bytes):
      request.append(bytes.count == 4 ? 1 : 4)
      request += bytes
    case .name(let name):
      request.append(3)
      request.append(UInt8(truncatingIfNeeded: name.count))
      request += name.prefix(255)
    }
    request.append(UInt8(truncatingIfNeeded: port >> 8))
    request.append(UInt8(truncatingIfNeeded: port))
    self.request = request
    // Version, and the ways to log in: none, and user and password if there are any.
    outgoing = [5, user.isEmpty ? 1 : 2, 0]
    if !user.isEmpty { outgoing.append(2) }
  }

  /// How many bytes may be read now; 0 when there is nothing more to read.
  var wanted: Int { state == .done ? 0 : wantedNow }

  var isReadingBody: Bool { state == .body }

  mutating func sent(_ count: Int) { outgoing = [UInt8](outgoing[min(max(count, 0), outgoing.count)...]) }

  /// At most `wanted` bytes.
  mutating func receive(_ bytes: UnsafeRawBufferPointer) -> Progress {
    if state == .done { return .needMoreBytes }
    for index in 0..<bytes.count {
      let byte = bytes[index]
      received.append(byte)
      wantedNow &-= 1
      if state == .head, !isMark(byte) {
        received.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[(index + 1)...]))
        state = .done
        return notHTTP()
      }
      let progress = state == .head || state == .body ? acceptHTTP(byte) : acceptSocks(byte)
      if case .needMoreBytes = progress { continue }
      state = .done
      return progress
    }
    if wantedNow <= 0 { wantedNow = 1 }
    return .needMoreBytes
  }

  /// The stream ended, or the time is over: what the answer so far says; nil if it says nothing.
  mutating func finish() -> ProxyRefusal? {
    guard state == .body else { return nil }
    state = .done
    return refusalWithBody()
  }

  /// How far it was, for the sentence about an end in the middle.
  var hasAnswer: Bool { !received.isEmpty || state == .login || state == .reply || state == .boundAddress }

  private mutating func add(_ text: Literal) {
    outgoing.append(contentsOf: text.bytes)
  }

  private func refused(_ text: Sentence) -> Progress { .refused(ProxyRefusal(text: text)) }
}

// MARK: - HTTP

extension ProxyDialogue {
  private mutating func acceptHTTP(_ byte: UInt8) -> Progress {
    if state == .body {
      if received.count &- bodyStart < bodyLimit {
        wantedNow = bodyLimit &- (received.count &- bodyStart)
        return .needMoreBytes
      }
      return .refused(refusalWithBody())
    }
    headSize &+= 1
    if headSize > Self.maxHeadSize { return refused("its answer has more than \(Self.maxHeadSize) bytes") }
    // RFC 9112 §2.2: a line may end with a line feed alone.
    switch byte {
    case 0x0A: lineFeeds &+= 1
    case 0x0D: break
    default: lineFeeds = 0
    }
    if lineFeeds < 2 {
      // No more than what the end of the head still lacks at least.
      if wantedNow <= 0 { wantedNow = 2 &- lineFeeds }
      return .needMoreBytes
    }
    return headIsComplete()
  }

  /// Whether the byte that came last can be one of an answer.
  private func isMark(_ byte: UInt8) -> Bool {
    let mark: Literal = "HTTP/1."
    let at = received.count &- 1
    return at >= mark.count || byte == mark.start[at]
  }

  private mutating func headIsComplete() -> Progress {
    var end = 0
    while end < received.count, received[end] != 0x0A, received[end] != 0x0D { end &+= 1 }
    let line = received[..<end]
    // "HTTP/1.1 200 ..."
    guard line.count >= 12, line[7] == UInt8(ascii: "0") || line[7] == UInt8(ascii: "1"), line[8] == 0x20,
      let status = ProxyText.number(line[9..<12], limit: 599), status >= 100, line.count == 12 || line[12] == 0x20
    else { return refused("its answer begins with \(quoted: line)") }
    if status < 200, status != 101 {
      // RFC 9110 §15.2: informational answers come before the one that counts.
      received.removeAll(keepingCapacity: true)
      lineFeeds = 0
      wantedNow = 4
      return .needMoreBytes
    }
    // Any length that a 2xx names does not count: the tunnel begins here.
    if status >= 200, status < 300 { return .open }
    // Tinyproxy says 401 where it means 407.
    refusal = ProxyRefusal(
      isLogin: status == 407 || status == 401, text: "it refused with \(quoted: Self.cleaned(line))")
    bodyStart = received.count
    bodyLimit = bodyLength()
    if bodyLimit <= 0 { return .refused(refusalWithBody()) }
    state = .body
    wantedNow = bodyLimit
    return .needMoreBytes
  }

  /// How much of the body is worth waiting for: what Content-Length names.
  private func bodyLength() -> Int {
    let name: Literal = "content-length:"
    var start = 0
    var at = 0
    while at < received.count {
      if received[at] == 0x0A {
        let field = received[start..<at]
        start = at &+ 1
        if ProxyText.sameIgnoringCase(field.prefix(name.count), name) {
          let value = ProxyText.trimmed(field.dropFirst(name.count))
          return min(ProxyText.number(value, limit: Int(Int32.max)) ?? 0, Self.maxBodySize)
        }
      }
      at &+= 1
    }
    return 0
  }

  /// The title of a page, or the beginning of a text.
  private mutating func refusalWithBody() -> ProxyRefusal {
    guard var result = refusal else { return ProxyRefusal(text: "it refused") }
    var body = ProxyText.trimmed(received[min(bodyStart, received.count)...])
    if body.first == UInt8(ascii: "<") { body = ProxyText.trimmed(Self.title(body)) }
    if !body.isEmpty { result.text.add(": \(quoted: Self.cleaned(body), limit: 120)") }
    if result.isLogin {
      result.text.add("; look at user and password in the URL of the proxy")
    }
    return result
  }

  /// One blank for all that is not printable ASCII.
  private static func cleaned(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var out: [UInt8] = []
    for byte in text {
      let isPrintable = byte > 0x20 && byte < 0x7F
      if isPrintable || out.last != 0x20 { out.append(isPrintable ? byte : 0x20) }
    }
    return out[...]
  }

  private static func title(_ page: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let mark: Literal = "<title>"
    var at = page.startIndex
    while at &+ mark.count <= page.endIndex {
      if ProxyText.sameIgnoringCase(page[at..<(at &+ mark.count)], mark) {
        let start = at &+ mark.count
        return page[start..<(page[start...].firstIndex(of: UInt8(ascii: "<")) ?? page.endIndex)]
      }
      at &+= 1
    }
    return page[page.endIndex...]
  }

  private func notHTTP() -> Progress {
    // RFC 8446 §5.1: a record of type alert (21) or handshake (22).
    if received[0] == 0x15 || received[0] == 0x16 {
      return refused("it does not speak HTTP: it seems to speak TLS; use https:// instead of http://")
    }
    if received[0] == 5 {
      return refused("it does not speak HTTP: it seems to speak SOCKS5; use socks5:// instead of http://")
    }
    return refused("it is no HTTP proxy: its answer begins with \(quoted: received[...])")
  }
}

// MARK: - SOCKS5

extension ProxyDialogue {
  private mutating func acceptSocks(_ byte: UInt8) -> Progress {
    switch (state, received.count) {
    case (.method, 1), (.reply, 1):
      if byte != 5 { return notSocks(byte) }
    case (.method, _): return methodChosen(byte)
    // RFC 1929 §2: the version of the sub-negotiation. Some servers answer with 5 here.
    case (.login, 1): break
    case (.login, _):
      if byte != 0 { return .refused(ProxyRefusal(isLogin: true, text: "it did not accept user and password")) }
      sendRequest()
    case (.reply, 2):
      if byte != 0 { return refusedRequest(byte) }
    case (.reply, 3): break
    case (.reply, 4):
      switch byte {
      case 1: wantedNow = 4 + 2
      case 4: wantedNow = 16 + 2
      // First the length, then what it says.
      case 3: wantedNow = 1
      default: return refused("its answer has the unknown kind of address \(Int(byte))")
      }
      state = .boundAddress
      received = [byte]
    case (.boundAddress, 2) where received[0] == 3:
      wantedNow = Int(byte) + 2
    case (.boundAddress, _):
      if wantedNow <= 0 { return .open }
    default: break
    }
    return .needMoreBytes
  }

  private mutating func methodChosen(_ method: UInt8) -> Progress {
    if method == 0 {
      sendRequest()
      return .needMoreBytes
    }
    if method == 2, !user.isEmpty {
      state = .login
      received = []
      wantedNow = 2
      outgoing += [1, UInt8(truncatingIfNeeded: user.count)]
      outgoing += user
      outgoing.append(UInt8(truncatingIfNeeded: password.count))
      outgoing += password
      return .needMoreBytes
    }
    if method != 0xFF { return refused("it chose the way \(Int(method)) to log in, which was not offered") }
    return .refused(
      ProxyRefusal(
        isLogin: true,
        text: user.isEmpty
          ? "it lets nobody in without user and password" : "it takes neither user and password nor nobody's"))
  }

  private mutating func sendRequest() {
    state = .reply
    received = []
    wantedNow = 4
    outgoing += request
  }

  /// RFC 1928 §6.
  private func refusedRequest(_ code: UInt8) -> Progress {
    let why: Literal
    switch code {
    case 1: why = "general failure"
    case 2: why = "its rules do not allow this connection"
    case 3: why = "network unreachable"
    case 4: why = "host unreachable"
    case 5: why = "connection refused"
    case 6: why = "time to live expired"
    case 7: why = "command not supported"
    case 8: why = "address type not supported"
    default: why = "unknown reason"
    }
    return .refused(
      ProxyRefusal(isOfAddress: code != 2 && code != 7, text: "it refused with code \(Int(code)), \(why)"))
  }

  private func notSocks(_ byte: UInt8) -> Progress {
    if byte == UInt8(ascii: "H") || byte == UInt8(ascii: "<") {
      return refused("it does not speak SOCKS5: it seems to speak HTTP; use http:// instead of socks5://")
    }
    if byte == 0x15 || byte == 0x16 { return refused("it does not speak SOCKS5: it seems to speak TLS") }
    if byte == 0 || byte == 4 { return refused("it speaks SOCKS4, this side SOCKS5 only") }
    return refused("it is no SOCKS5 proxy: its answer begins with the byte \(byte: byte)")
  }
}
