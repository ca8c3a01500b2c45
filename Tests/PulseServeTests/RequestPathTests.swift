// SPDX-License-Identifier: Apache-2.0
import PulseServe
import Testing

struct RequestPathTests {
  @Test(arguments: [
    ("/", "/"), ("/a/b", "/a/b"), ("/a/", "/a/"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/.", "/a/"),
    ("/.", "/"), ("/a/..", "/"), ("/a/%2e%2E/b", "/b"), ("/%61%20b", "/a b"), ("/caf%C3%A9", "/caf\u{E9}"), ("/a%252F", "/a%2F"),
    ("/...", "/..."), ("/.a/..b", "/.a/..b"), ("/a;b=1", "/a;b=1"), ("/a..;/b", "/a..;/b"), ("/%3F%23?x", "/?#"), ("/a?/../..//%00", "/a"),
    ("/%F0%9F%98%80", "/\u{1F600}"), ("/%25", "/%"),
  ]) func isRead(_ raw: String, _ path: String) throws {
    #expect(text(try parsed("GET \(raw) HTTP/1.1").path) == path)
  }

  @Test(arguments: [
    ("/..", "above the root"), ("/a/../..", "above the root"), ("/%2e%2e/a", "above the root"), ("/../a", "above the root"),
    ("//", "two slashes"), ("//a", "two slashes"), ("/a//b", "two slashes"), ("/a/..//b", "two slashes"),
    ("/a%2Fb", "encoded slash"), ("/a%2fb", "encoded slash"), ("/a%5Cb", "backslash"), ("/a\\b", "backslash"),
    ("/%00", "NUL"), ("/%0A", "control character"), ("/%7F", "control character"), ("/%1b[", "control character"),
    ("/%C2%85", "control character"), ("/%", "percent sign"), ("/%4", "percent sign"), ("/%4g", "percent sign"),
    ("/%u0041", "percent sign"),
    ("/%FF", "not UTF-8"), ("/%C0%AF", "not UTF-8"), ("/%C0%AE%C0%AE/", "not UTF-8"), ("/%E0%80%AF", "not UTF-8"),
    ("/%ED%A0%80", "not UTF-8"), ("/%C3", "not UTF-8"), ("/%F4%90%80%80", "not UTF-8"),
  ]) func isRefused(_ raw: String, _ why: String) {
    let seen = Conversation(message("GET \(raw)?token=hush HTTP/1.1", "Host: h"))
    #expect(seen.results == ["failed 400 bad_request"])
    #expect(seen.sentence.contains(why) && !seen.sentence.contains("hush"), "\(seen.sentence)")
  }
}
