// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseTransport

/// One talk: what was sent, how it ended, and how many bytes of the input were left to an open tunnel.
private struct Talk: Equatable {
  var sent: [UInt8] = []
  var result = "more"
  var isLogin = false
  var isOfAddress = false
  var left = 0
}

/// Plays an answer in chunks that end at `cuts`, never more than is wanted.
private func play(_ dialogue: ProxyDialogue, _ answer: [UInt8], cuts: [Int] = [], ends: Bool = true) -> Talk {
  var dialogue = dialogue
  var talk = Talk()
  var at = 0
  let borders = cuts + [answer.count]
  func flush() {
    talk.sent += dialogue.outgoing
    dialogue.sent(dialogue.outgoing.count)
  }
  func take(_ refusal: ProxyRefusal) {
    talk.result = String(decoding: refusal.text.bytes, as: UTF8.self)
    (talk.isLogin, talk.isOfAddress) = (refusal.isLogin, refusal.isOfAddress)
  }
  flush()
  for border in borders {
    while at < border {
      let count = min(dialogue.wanted, border - at)
      if count == 0 { break }
      let progress = answer[at..<(at + count)].withUnsafeBytes { dialogue.receive($0) }
      at += count
      flush()
      switch progress {
      case .needMoreBytes: continue
      case .open:
        talk.result = "open"
        talk.left = answer.count - at
      case .refused(let refusal): take(refusal)
      }
      return talk
    }
  }
  if ends, let refusal = dialogue.finish() { take(refusal) }
  return talk
}

/// Whole, byte by byte and at every split alike.
private func playEveryWay(_ dialogue: ProxyDialogue, _ answer: [UInt8]) -> Talk {
  let whole = play(dialogue, answer)
  #expect(play(dialogue, answer, cuts: Array(0..<answer.count)) == whole)
  for cut in 0..<min(answer.count, 300) { #expect(play(dialogue, answer, cuts: [cut]) == whole) }
  return whole
}

@Suite struct ConnectDialogueTests {
  private let dialogue = ProxyDialogue(connect: Array("h:443".utf8), authorization: [])

  private func answer(_ text: String) -> Talk { playEveryWay(dialogue, Array(text.utf8)) }

  @Test func request() {
    #expect(dialogue.outgoing == Array("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".utf8))
    let login = ProxyDialogue(connect: Array("[::1]:1".utf8), authorization: Array("Basic eA==".utf8))
    #expect(
      login.outgoing
        == Array("CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\nProxy-Authorization: Basic eA==\r\n\r\n".utf8))
  }

  @Test(arguments: [
    "HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n", "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.1 200 OK\n\n", "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
  ])
  func opens(_ text: String) {
    let talk = answer(text)
    #expect(talk.result == "open" && talk.left == 0)
    let more = answer(text + "\r\n\r\nHTTP of the target")
    #expect(more.result == "open" && more.left == 22, "what comes behind belongs to the tunnel")
  }

  @Test(arguments: [
    ("HTTP/1.1 403 Forbidden\r\n\r\n", "it refused with \"HTTP/1.1 403 Forbidden\""),
    ("HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nno!rest", "it refused with \"HTTP/1.1 503 \": \"no!\""),
    (
      "HTTP/1.1 502 Bad\r\ncontent-length:  9 \r\n\r\n a\u{1b}[31mb\r\n",
      "it refused with \"HTTP/1.1 502 Bad\": \"a [31mb\""
    ),
    (
      "HTTP/1.1 403 F\r\nContent-Length: 99\r\n\r\n<html><head><TITLE> Denied </title>x",
      "it refused with \"HTTP/1.1 403 F\": \"Denied\""
    ),
    ("HTTP/1.1 403 F\r\nContent-Length: 6\r\n\r\n<html>", "it refused with \"HTTP/1.1 403 F\""),
    ("HTTP/1.1 403 F\r\nContent-Length: -1\r\n\r\n", "it refused with \"HTTP/1.1 403 F\""),
    ("HTTP/1.1 403 F\r\nContent-Length: 999999999999999999999\r\n\r\n", "it refused with \"HTTP/1.1 403 F\""),
    ("HTTP/1.1 302 Found\r\nLocation: http://x\r\n\r\n", "it refused with \"HTTP/1.1 302 Found\""),
    ("HTTP/1.1 101 Switch\r\n\r\n", "it refused with \"HTTP/1.1 101 Switch\""),
    ("SSH-2.0-OpenSSH_9\r\n", "it is no HTTP proxy: its answer begins with \"SSH-\""),
    ("\u{15}\u{3}\u{1}\u{0}\u{2}", "it does not speak HTTP: it seems to speak TLS; use https:// instead of http://"),
    ("\u{5}\u{ff}", "it does not speak HTTP: it seems to speak SOCKS5; use socks5:// instead of http://"),
    ("HTTP/2.0 200 OK\r\n\r\n", "it is no HTTP proxy: its answer begins with \"HTTP/2\""),
    ("HTTP/1.2 200 OK\r\n\r\n", "its answer begins with \"HTTP/1.2 200 OK\""),
    ("HTTP/1.1 2000 OK\r\n\r\n", "its answer begins with \"HTTP/1.1 2000 OK\""),
    ("HTTP/1.1 OK\r\n\r\n", "its answer begins with \"HTTP/1.1 OK\""),
    ("HTTP/1.1 999 OK\r\n\r\n", "its answer begins with \"HTTP/1.1 999 OK\""),
  ])
  func refuses(_ text: String, _ sentence: String) {
    let talk = text.hasPrefix("HTTP/1.") ? answer(text) : play(dialogue, Array(text.utf8))
    #expect(talk.result == sentence)
    #expect(!talk.isLogin && !talk.isOfAddress)
    #expect(play(dialogue, Array(text.utf8), cuts: Array(0..<text.utf8.count)).result.hasPrefix(sentence.prefix(38)))
  }

  @Test func login() {
    let talk = answer("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
    #expect(talk.isLogin)
    #expect(
      talk.result.hasPrefix("it refused with \"HTTP/1.1 407 Proxy Authentication Required\"; look at user and password"))
  }

  @Test func loginInOtherWords() { #expect(answer("HTTP/1.0 401 Unauthorized\r\n\r\n").isLogin) }

  @Test func limits() {
    let filling = String(repeating: "a", count: 20_000)
    let long = play(dialogue, Array("HTTP/1.1 200 OK\r\nA: \(filling)\r\n\r\n".utf8))
    #expect(long.result == "its answer has more than 16384 bytes")
    let endless = play(dialogue, Array(String(repeating: "HTTP/1.1 100 C\r\n\r\n", count: 2000).utf8))
    #expect(endless.result == "its answer has more than 16384 bytes")
    let page = play(
      dialogue,
      Array(("HTTP/1.1 500 E\r\nContent-Length: 50000\r\n\r\n" + String(repeating: "b", count: 50_000)).utf8))
    #expect(page.result.hasSuffix("bbb\"...") && page.result.utf8.count < 200)
  }

  @Test func ends() {
    for text in ["", "HTTP", "HTTP/1.1 200 OK\r\n\r"] { #expect(answer(text).result == "more") }
    #expect(play(dialogue, Array("HTTP/1.1 403 F\r\nContent-Length: 5\r\n\r\nab".utf8), ends: false).result == "more")
    #expect(
      answer("HTTP/1.1 403 F\r\nContent-Length: 5\r\n\r\nab").result == "it refused with \"HTTP/1.1 403 F\": \"ab\"")
  }
}

@Suite struct SocksDialogueTests {
  private func dialogue(_ target: ProxyDialogue.Target = .name(Array("h".utf8)), login: Bool = false) -> ProxyDialogue {
    ProxyDialogue(
      socks: target, port: 443, user: login ? Array("me".utf8) : [], password: login ? Array("pw".utf8) : [])
  }

  @Test func names() {
    let talk = playEveryWay(dialogue(), [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 4, 5, 99, 98])
    #expect(talk.result == "open" && talk.left == 2)
    #expect(talk.sent == [5, 1, 0] + [5, 1, 0, 3, 1, 104, 1, 187])
    let long = play(dialogue(.name([UInt8](repeating: 97, count: 255))), [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(long.result == "open" && long.sent.count == 3 + 5 + 255 + 2 && long.sent[7] == 255)
  }

  @Test func addresses() {
    let bound = [UInt8](repeating: 7, count: 18)
    let four = playEveryWay(dialogue(.address([1, 2, 3, 4])), [5, 0, 5, 0, 0, 4] + bound + [1])
    #expect(four.result == "open" && four.left == 1)
    #expect(four.sent == [5, 1, 0] + [5, 1, 0, 1, 1, 2, 3, 4, 1, 187])
    let six = [UInt8](1...16)
    let talk = playEveryWay(dialogue(.address(six)), [5, 0, 5, 0, 0, 3, 4, 97, 98, 99, 100, 0, 1, 8])
    #expect(talk.result == "open" && talk.left == 1)
    #expect(talk.sent == [5, 1, 0] + [5, 1, 0, 4] + six + [1, 187])
    #expect(playEveryWay(dialogue(), [5, 0, 5, 0, 0, 3, 0, 0, 1]).result == "open", "an empty name")
    #expect(playEveryWay(dialogue(), [5, 0, 5, 0, 0, 2, 0, 0]).result == "its answer has the unknown kind of address 2")
  }

  @Test func login() {
    let sent: [UInt8] = [5, 2, 0, 2] + [1, 2, 109, 101, 2, 112, 119] + [5, 1, 0, 3, 1, 104, 1, 187]
    let good = playEveryWay(dialogue(login: true), [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(good.result == "open" && good.sent == sent)
    let wrong = playEveryWay(dialogue(login: true), [5, 2, 1, 1])
    #expect(wrong.isLogin && wrong.result == "it did not accept user and password")
    #expect(wrong.sent == Array(sent.prefix(11)), "nothing behind a refused login")
    let needless = playEveryWay(dialogue(login: true), [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(needless.result == "open" && !needless.sent.contains(112), "the password stays here")
    let missing = playEveryWay(dialogue(), [5, 255])
    #expect(missing.isLogin && missing.result == "it lets nobody in without user and password")
    let unwanted = playEveryWay(dialogue(login: true), [5, 255])
    #expect(unwanted.isLogin)
    for method: UInt8 in [1, 2, 3, 254] {
      let talk = playEveryWay(dialogue(), [5, method])
      #expect(!talk.isLogin && talk.result.contains("was not offered") && talk.sent == [5, 1, 0])
    }
  }

  @Test(arguments: [
    (1, "general failure", true), (2, "rules", false), (3, "network unreachable", true), (4, "host unreachable", true),
    (5, "connection refused", true), (6, "time to live", true), (7, "command", false), (8, "address type", true),
    (9, "unknown", true), (255, "unknown", true),
  ])
  func replies(_ code: UInt8, _ words: String, _ isOfAddress: Bool) {
    for rest in [[], [0, 1, 0, 0, 0, 0, 0, 0]] as [[UInt8]] {
      let talk = playEveryWay(dialogue(), [5, 0, 5, code] + rest)
      #expect(talk.result.hasPrefix("it refused with code \(code), ") && talk.result.contains(words))
      #expect(talk.isOfAddress == isOfAddress && !talk.isLogin)
    }
  }

  @Test func others() {
    #expect(playEveryWay(dialogue(), Array("HTTP/1.1 400 Bad".utf8)).result.contains("speak HTTP; use http://"))
    #expect(playEveryWay(dialogue(), [0x15, 3, 1, 0, 2]).result.contains("speak TLS"))
    #expect(playEveryWay(dialogue(), [0, 91, 0, 0]).result.contains("SOCKS4"))
    #expect(playEveryWay(dialogue(), [4]).result.contains("SOCKS4"))
    #expect(playEveryWay(dialogue(), [42]).result.contains("begins with the byte \\x2A"))
    #expect(playEveryWay(dialogue(), [5, 0, 6]).result.contains("byte \\x06"))
    for part in 0..<12 {
      let start = Array(([5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0] as [UInt8]).prefix(part))
      #expect(playEveryWay(dialogue(), start).result == "more")
    }
  }
}
