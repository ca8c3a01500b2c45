// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseTransport

@Suite struct ProxyURLTests {
  private func parse(_ text: String) throws -> ProxyURL {
    switch ProxyURL.parse(text) {
    case .success(let url): return url
    case .failure(let problem): throw problem
    }
  }

  @Test func forms() throws {
    let plain = try parse("http://proxy.example")
    #expect(plain.scheme == .http && plain.host == "proxy.example" && plain.port == 80 && !plain.hasLogin)
    #expect(plain.name == "http://proxy.example:80")
    #expect(try parse("HTTPS://Proxy.Example/").name == "https://proxy.example:443")
    #expect(try parse("socks5://127.0.0.1").name == "socks5://127.0.0.1:1080")
    #expect(try parse("socks5h://h:").port == 1080)
    #expect(try parse("socks5h://h:9050").scheme == .socks5h)
    let bare = try parse("u:p@Proxy:3128")
    #expect(bare.scheme == .http && bare.name == "http://proxy:3128" && bare.password == Array("p".utf8))
    let six = try parse("http://[::1]:3128")
    #expect(six.host == "::1" && six.port == 3128 && six.name == "http://[::1]:3128")
    #expect(try parse("socks5://a").resolvesHere)
    #expect(try !parse("socks5h://a").resolvesHere)
  }

  @Test func login() throws {
    let url = try parse("http://me:a%40b%3A%2F%25c@h:1")
    #expect(url.user == Array("me".utf8) && url.password == Array("a@b:/%c".utf8))
    #expect(url.name == "http://h:1", "without user and password")
    let alone = try parse("socks5://me@h")
    #expect(alone.user == Array("me".utf8) && alone.password == [] && alone.hasLogin)
    #expect(try parse("http://@h").hasLogin == false)
    #expect(try parse("http://u:p:q@h").password == Array("p:q".utf8))
    #expect(try parse("socks5://u%3Av:p@h").user == Array("u:v".utf8))
    #expect(try parse("http://%C3%BC:p@h").user == [0xC3, 0xBC])
    #expect(try parse("http://a@b:c@h").password == Array("c".utf8), "the last @ counts")
  }

  @Test(arguments: [
    ("", "begin"), ("proxy", "begin"), ("proxy:", "begin"), (":3128", "host"), ("proxy:3128/", "begin"), ("proxy:0", "port"),
    ("//h", "begin"), ("http:/h", "begin"), ("http:h", "begin"),
    ("ftp://h", "scheme"), ("socks4://h", "scheme"), ("socks://h", "scheme"), ("://h", "scheme"),
    ("http://", "host"), ("http://:80", "host"), ("http://a b", "space"), ("http://h\n", "control"),
    ("http://h\u{0}", "control"), ("http://hö", "ASCII"), ("http://h:0", "port"), ("http://h:65536", "port"),
    ("http://h:x", "port"), ("http://h:99999999999999999999999", "port"), ("http://[::1", "]"),
    ("http://[::1]x", "behind"), ("http://[]", "IPv6"), ("http://[1.2.3.4]", "IPv6"), ("http://[fe80::1%25lo]", "IPv6"),
    ("http://h/path", "behind"), ("http://h?q", "behind"), ("http://h#f", "behind"), ("http://u:p/w@h", "behind"),
    ("http://%:p@h", "percent"), ("http://u:%zz@h", "percent"), ("http://u:%0a@h", "control"),
    ("http://:p@h", "no user"), ("http://u%3av:p@h", "colon"), ("http://.h", "host"), ("http://h!", "host"),
  ])
  func refused(_ text: String, _ part: String) {
    guard case .failure(let problem) = ProxyURL.parse(text) else { return _ = Issue.record("\(text) is taken") }
    #expect(problem.text.description.contains(part), "\(problem.text)")
  }

  @Test func lengths() throws {
    let long = String(repeating: "p", count: 256)
    #expect(throws: ProxyURLProblem.self) { try parse("socks5://u:\(long)@h") }
    #expect(throws: ProxyURLProblem.self) { try parse("socks5h://\(long):p@h") }
    #expect(try parse("http://u:\(long)@h").password.count == 256)
    #expect(try parse("socks5://u:\(long.dropLast())@h").password.count == 255)
    #expect(throws: ProxyURLProblem.self) { try parse("http://" + String(repeating: "a", count: 255)) }
    #expect(throws: ProxyURLProblem.self) { try parse("http://u:\(String(repeating: "p", count: 5000))@h") }
  }
}

@Suite struct ProxyRulesTests {
  private func rules(_ exceptions: String) -> ProxyRules {
    ProxyRules(
      plain: ProxyRules.choice("http://plain", "http_proxy"), secure: ProxyRules.choice("http://secure", "https_proxy"),
      exceptions: Array(exceptions.utf8))
  }

  private func name(_ choice: ProxyRules.Choice) -> String {
    switch choice {
    case .direct: "direct"
    case .proxy(let url): url.name
    case .bad(let text): text
    }
  }

  @Test func schemes() {
    let rules = rules("")
    #expect(name(rules.choice(isSecure: true, host: "h", port: 443)) == "http://secure:80")
    #expect(name(rules.choice(isSecure: false, host: "h", port: 80)) == "http://plain:80")
    #expect(name(ProxyRules().choice(isSecure: true, host: "h", port: 443)) == "direct")
  }

  @Test func values() {
    #expect(name(ProxyRules.choice("", "https_proxy")) == "direct")
    #expect(name(ProxyRules.choice("None", "https_proxy")) == "direct")
    let bad = name(ProxyRules.choice("u:secret@h:x", "https_proxy"))
    #expect(bad.hasPrefix("https_proxy is not the URL of a proxy: ") && !bad.contains("secret"))
    let option = ProxyRules(option: "ftp://x")
    #expect(option.problem(isSecure: true)?.hasPrefix("option proxy is not") == true)
    #expect(name(option.choice(isSecure: false, host: "localhost", port: 80)).hasPrefix("option proxy"))
    #expect(name(ProxyRules(option: "none").choice(isSecure: true, host: "h", port: 1)) == "direct")
    #expect(ProxyRules(option: "https://h").hasSecureProxy && !ProxyRules(option: "http://h").hasSecureProxy)
  }

  @Test(arguments: [
    ("example.com", "example.com", 443, true), ("example.com", "a.example.com", 443, true),
    ("example.com", "badexample.com", 443, false), (".example.com", "example.com", 443, true),
    (".example.com", "a.b.example.com", 443, true), ("*.example.com", "a.example.com", 443, true),
    ("EXAMPLE.com", "a.example.com", 443, true), ("example.com.", "example.com", 443, true),
    ("example.com", "example.com.", 443, true), ("example.com", "com", 443, false),
    ("*", "anything", 443, true), ("*", "10.0.0.1", 80, true), ("", "h", 80, false), (",, ,", "h", 80, false),
    (".", "h", 80, false), ("*.", "h", 80, false),
    ("a, b,c d\te", "d", 80, true), ("a,b", "b", 80, true), ("a,b", "c", 80, false),
    ("h:443", "h", 443, true), ("h:443", "h", 80, false), ("h:x", "h", 80, false), ("h:", "h", 80, false),
    ("127.0.0.1", "127.0.0.1", 80, true), ("127.0.0.1:80", "127.0.0.1", 80, true),
    ("127.0.0.1:81", "127.0.0.1", 80, false), ("127.0.0.1", "127.0.0.2", 80, false),
    ("10.0.0.0/8", "10.255.0.1", 80, true), ("10.0.0.0/8", "11.0.0.1", 80, false),
    ("10.1.2.128/25", "10.1.2.200", 80, true), ("10.1.2.128/25", "10.1.2.100", 80, false),
    ("0.0.0.0/0", "8.8.8.8", 80, true), ("10.0.0.0/33", "10.0.0.0", 80, false), ("10.0.0.0/", "10.0.0.0", 80, false),
    ("10.0.0.1/32", "10.0.0.1", 80, true), ("10.0.0.0/8", "host10", 80, false),
    ("::1", "::1", 80, true), ("[::1]", "::1", 80, true), ("[::1]:80", "::1", 80, true), ("[::1]:81", "::1", 80, false),
    ("fd00::/8", "fd12:3456::1", 80, true), ("[fd00::]/8", "fe00::1", 80, false), ("0:0::1", "::1", 80, true),
    ("2001:db8::/32", "2001:db8:1::5", 80, true), ("2001:db8::/65", "2001:db8::8000:0:0:1", 80, false),
    ("::/0", "127.0.0.1", 80, false), ("0.0.0.0/0", "::1", 80, false), ("::1", "localhost", 80, false),
    ("1", "10.0.0.1", 80, false), ("[", "h", 80, false), ("[]", "h", 80, false), ("/8", "10.0.0.1", 80, false),
  ])
  func exceptions(_ list: String, _ host: String, _ port: UInt16, _ isException: Bool) {
    #expect(NoProxy.matches(Array(list.utf8), host: host, port: port) == isException)
    let choice = name(rules(list).choice(isSecure: true, host: host, port: port))
    #expect(choice == (isException ? "direct" : "http://secure:80"))
  }
}
