// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseServe
import PulseText
import PulseWire
import Testing

private func ip(_ text: String) -> IPAddress? { IPAddress.parse(Array(text.utf8)[...]) }

struct IPAddressTests {
  /// As inet_pton reads them.
  @Test func againstTheSystem() {
    var texts = [
      "0.0.0.0", "255.255.255.255", "1.2.3.4", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4", "00.0.0.0",
      "1.2.3.4 ", " 1.2.3.4", "1.2.3.a", "0x1.2.3.4", "1.2.3.1234", "", ".", ":", "::", ":::", "::1", "1::", "1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1::2::3",
      "1:", ":1", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
      "::1.2.3", "::1.2.3.4:5", "1.2.3.4::", "::g", "::12345", "::ABCD", "::abcd", "fe80::1%lo", "::1/64", "[::1]", "1:2:3:4:5:6:7:8::",
      "::1:2:3:4:5:6:7:8", "::00001", "::0001", "1:2:3:4:5::1.2.3.4", "1:2:3:4:5:6::1.2.3.4", "::01.2.3.4", "64:ff9b::1.2.3.4",
    ]
    // Each with a character taken out, doubled, or made a colon.
    for text in texts {
      for place in text.indices {
        texts.append(text.replacingCharacters(in: place...place, with: ""))
        texts.append(text.replacingCharacters(in: place...place, with: "\(text[place])\(text[place])"))
        texts.append(text.replacingCharacters(in: place...place, with: ":"))
      }
    }
    for text in texts { #expect(ip(text) == system(text), "\(text)") }
  }

  private func system(_ text: String) -> IPAddress? {
    var bytes = [UInt8](repeating: 0, count: 16)
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    if inet_pton(AF_INET, text, &bytes) == 1 { return IPAddress(ipv4: UInt32(number(0..<4))) }
    if inet_pton(AF_INET6, text, &bytes) == 1 { return IPAddress(high: number(0..<8), low: number(8..<16)) }
    return nil
  }
}

struct TrustedProxiesTests {
  private func trusted(_ list: String...) -> TrustedProxies {
    var proxies = TrustedProxies()
    for text in list { #expect(proxies.add(Array(text.utf8)) == nil, "\(text)") }
    return proxies
  }

  @Test func blocks() {
    let proxies = trusted("10.0.0.0/8", "192.168.1.7", "2001:db8::/33", "::ffff:172.16.0.0/108", "fd00::1")
    for text in ["10.0.0.0", "10.255.255.255", "192.168.1.7", "::ffff:10.1.2.3", "2001:db8:7fff::1", "172.31.0.1", "fd00::1"] {
      #expect(proxies.trusts(ip(text)), "\(text)")
    }
    for text in ["9.255.255.255", "11.0.0.0", "192.168.1.6", "2001:db8:8000::", "172.32.0.1", "fd00::2", "::a00:1", "::1"] {
      #expect(!proxies.trusts(ip(text)), "\(text)")
    }
    #expect(!proxies.trusts(nil) && trusted("unix").trusts(nil) && !trusted("unix").trusts(ip("127.0.0.1")))
    #expect(trusted("0.0.0.0/0").trusts(ip("8.8.8.8")) && !trusted("0.0.0.0/0").trusts(ip("::1")) && !trusted("::/0").trusts(ip("8.8.8.8")))
    #expect(TrustedProxies().isEmpty && !proxies.isEmpty && !TrustedProxies().trusts(ip("127.0.0.1")) && !TrustedProxies().trusts(nil))
  }

  @Test(arguments: [
    "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/x", "10.0.0.1/8", "::/129", "2001:db8::1/32", "host",
    "10.0.0.0 /8", "::ffff:0:0/90", "Unix", "10/8", "[::1]",
  ])
  func blocksThatCannotBe(_ text: String) {
    var proxies = TrustedProxies()
    expectPlain(proxies.add(Array(text.utf8)) ?? "")
    #expect(proxies.isEmpty)
  }
}

struct ForwardedForTests {
  private func client(_ headers: [String], peer: String? = "10.0.0.1") throws -> String {
    var proxies = TrustedProxies()
    for block in ["10.0.0.0/8", "fd00::/8", "unix"] { #expect(proxies.add(Array(block.utf8)) == nil) }
    let request = try parsed("GET / HTTP/1.1", headers)
    switch ForwardedFor.client(of: request.head, peer: peer.map { ip($0) ?? IPAddress(ipv4: 0) }, trusted: proxies) {
    case .peer: return "peer"
    case .client(let address):
      return address.isIPv4
        ? "\(address.low >> 24 & 255).\(address.low >> 16 & 255).\(address.low >> 8 & 255).\(address.low & 255)"
        : "\(String(address.high, radix: 16)) \(String(address.low, radix: 16))"
    case .refused(let refusal):
      expectPlain(text(refusal.message))
      #expect(refusal.status == 400)
      return "refused"
    }
  }

  @Test func rightmostThatIsNotTrusted() throws {
    for (headers, expected) in [
      ([], "peer"), (["X-Forwarded-For: 1.2.3.4"], "1.2.3.4"), (["X-Forwarded-For: 6.6.6.6, 1.2.3.4"], "1.2.3.4"),
      (["x-forwarded-for: 6.6.6.6 ,1.2.3.4,\t10.9.9.9"], "1.2.3.4"), (["X-Forwarded-For: 10.0.0.5, 10.0.0.6"], "10.0.0.5"),
      (["X-Forwarded-For: 6.6.6.6", "Accept: a", "X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
      (["X-Forwarded-For: 5.5.5.5, 1.2.3.4", "X-Forwarded-For: 10.0.0.2, fd00::2"], "1.2.3.4"),
      (["X-Forwarded-For: 1.2.3.4:8080"], "1.2.3.4"), (["X-Forwarded-For: ::ffff:1.2.3.4"], "1.2.3.4"),
      (["X-Forwarded-For: [2001:db8::7]:443"], "20010db800000000 7"),
      (["X-Forwarded-For: [2001:db8::7]"], "20010db800000000 7"), (["X-Forwarded-For: 2001:db8::7"], "20010db800000000 7"),
      // What the client itself wrote is not looked at.
      (["X-Forwarded-For: <script>, unknown, 1.2.3.4"], "1.2.3.4"), (["X-Forwarded-For: ,1.2.3.4"], "1.2.3.4"),
    ] { #expect(try client(headers) == expected, "\(headers)") }
    #expect(try client(["X-Forwarded-For: 1.2.3.4"], peer: "8.8.8.8") == "peer")
    #expect(try client(["X-Forwarded-For: rubbish"], peer: "8.8.8.8") == "peer")
    #expect(try client(["X-Forwarded-For: 1.2.3.4"], peer: nil) == "1.2.3.4")
    #expect(try client(["X-Forwarded-For: 1.2.3.4"], peer: "::ffff:10.0.0.1") == "1.2.3.4")
  }

  @Test(arguments: [
    "", "unknown", "_hidden", "1.2.3", "1.2.3.4,", "1.2.3.4, ", "1.2.3.4, ,10.0.0.1", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "[::1",
    "[::1]x", "[::1]:", "[1.2.3.4]", "[]", "\"1.2.3.4\"", "1.2.3.4; 5", "fe80::1%eth0", "01.2.3.4", "for=1.2.3.4", "x, 10.0.0.7",
  ])
  func refused(_ value: String) throws { #expect(try client(["X-Forwarded-For: \(value)"]) == "refused") }

  @Test func hops() throws {
    let most = [String](repeating: "10.0.0.1", count: ForwardedFor.maxHops - 1).joined(separator: ",")
    #expect(try client(["X-Forwarded-For: 1.2.3.4,\(most)"]) == "1.2.3.4")
    #expect(try client(["X-Forwarded-For: 1.2.3.4,10.0.0.1,\(most)"]) == "refused")
  }
}

struct ProxyProtocolTests {
  private static let mark: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

  private static func header(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
    mark + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
  }

  private func describe(_ progress: ProxyProtocol.Progress) -> String {
    switch progress {
    case .needsMore: return "more"
    case .address(let address, let port, let size):
      return "\(String(address.high, radix: 16)) \(String(address.low, radix: 16)) \(port) \(size)"
    case .local(let size): return "local \(size)"
    case .failed(let why):
      expectPlain(why.description)
      return "failed"
    }
  }

  /// Whatever is there of it: more, and at the end the verdict, also with bytes behind.
  private func parse(_ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) -> String {
    let whole = bytes.withUnsafeBytes { describe(ProxyProtocol.parse($0)) }
    var failedAt: Int?
    for count in 0..<bytes.count {
      let cut = Array(bytes[..<count])
      let part = cut.withUnsafeBytes { describe(ProxyProtocol.parse($0)) }
      if part == "failed", failedAt == nil { failedAt = count }
      #expect(part == (failedAt == nil ? "more" : "failed"), "\(count)", sourceLocation: sourceLocation)
    }
    if failedAt != nil { #expect(whole == "failed", sourceLocation: sourceLocation) }
    if whole != "more" {
      let behind = (bytes + [0x47, 13, 10]).withUnsafeBytes { describe(ProxyProtocol.parse($0)) }
      #expect(behind == whole, sourceLocation: sourceLocation)
    }
    return whole
  }

  @Test func version2() {
    let four: [UInt8] = [1, 2, 3, 4, 10, 0, 0, 1, 0x12, 0x34, 0, 80]
    let six: [UInt8] =
      [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7] + [UInt8](repeating: 9, count: 16)
      + [0xFF, 0xFE, 0, 80]
    #expect(parse(Self.header(0x21, 0x11, four)) == "0 ffff01020304 4660 28")
    #expect(parse(Self.header(0x21, 0x11, four + [4, 0, 1, 0])) == "0 ffff01020304 4660 32")
    #expect(parse(Self.header(0x21, 0x21, six)) == "20010db800000000 7 65534 52")
    #expect(parse(Self.header(0x20, 0x00, [])) == "local 16" && parse(Self.header(0x20, 0x11, four)) == "local 28")
    #expect(parse(Self.header(0x20, 0x7F, [1, 2])) == "local 18")
    #expect(parse(Self.header(0x21, 0x00, [1])) == "local 17")
    #expect(parse(Self.header(0x21, 0x31, [UInt8](repeating: 1, count: 216))) == "local 232")
    #expect(parse(Self.header(0x21, 0x11, four + [UInt8](repeating: 0, count: 508))) == "0 ffff01020304 4660 536")
    #expect(parse(Self.header(0x21, 0x11, four + [UInt8](repeating: 0, count: 509))) == "failed")
    for (command, family, body) in [
      (0x11, 0x11, four), (0x22, 0x11, four), (0x2F, 0x11, four), (0x31, 0x11, four), (0x21, 0x12, four), (0x21, 0x22, six),
      (0x21, 0x32, six), (0x21, 0x41, six), (0x21, 0x10, four), (0x21, 0x11, Array(four.dropLast())), (0x21, 0x21, Array(six.dropLast())),
    ] as [(UInt8, UInt8, [UInt8])] { #expect(parse(Self.header(command, family, body)) == "failed", "\(command) \(family)") }
    for place in 0..<12 {
      var bytes = Self.header(0x21, 0x11, four)
      bytes[place] ^= 0x20
      #expect(parse(bytes) == "failed", "\(place)")
    }
    #expect(parse(Array("GET / HTTP/1.1\r\n".utf8)) == "failed" && parse(Array("POST / HTTP/1.1\r\n".utf8)) == "failed")
    #expect(parse([]) == "more" && parse([0x16, 3, 1]) == "failed")
  }

  @Test func version1() {
    for (line, expected) in [
      ("PROXY TCP4 1.2.3.4 10.0.0.1 4660 80\r\n", "0 ffff01020304 4660 37"),
      ("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", "20010db800000000 7 0 36"),
      ("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", "0 ffff01020304 1 35"), ("PROXY UNKNOWN\r\n", "local 15"),
      ("PROXY UNKNOWN ffff:f...f:ffff x 1 2\r\n", "local 37"), ("PROXY TCP4 1.2.3.4 10.0.0.1 1 2", "more"), ("PROXY", "more"),
      ("PROXY \(String(repeating: "x", count: 200))", "failed"), ("PROXY TCP4 1.2.3.4 10.0.0.1 1 2\n", "failed"),
      ("PROXY TCP4 1.2.3.4 10.0.0.1 1 2\rx", "failed"), ("PROXY TCP4 1.2.3.4 10.0.0.1 1\r\n", "failed"),
      ("PROXY TCP4 1.2.3.4 10.0.0.1 1 2 3\r\n", "failed"), ("PROXY TCP4  1.2.3.4 10.0.0.1 1 2\r\n", "failed"),
      ("PROXY TCP4 1.2.3.4 10.0.0.1 01 2\r\n", "failed"), ("PROXY TCP4 1.2.3.4 10.0.0.1 1 65536\r\n", "failed"),
      ("PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "failed"), ("PROXY TCP4 ::1 ::1 1 2\r\n", "failed"),
      ("PROXY TCP6 1.2.3.4 10.0.0.1 1 2\r\n", "failed"),
      ("PROXY UDP4 1.2.3.4 10.0.0.1 1 2\r\n", "failed"), ("PROXY tcp4 1.2.3.4 10.0.0.1 1 2\r\n", "failed"), ("PROXY\r\n", "failed"),
      ("PROXY \r\n", "failed"), ("Proxy TCP4", "failed"), ("PROXY TCP4 1.2.3.4\0 10.0.0.1 1 2\r\n", "failed"),
    ] { #expect(parse(Array(line.utf8)) == expected, "\(line)") }
    // The longest that the protocol allows.
    let longest = "PROXY UNKNOWN" + String(repeating: " ", count: 92)
    #expect(parse(Array("\(longest)\r\n".utf8)) == "local 107" && parse(Array("\(longest) \r\n".utf8)) == "failed")
  }
}
