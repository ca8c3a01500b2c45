// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The reason phrases of HTTP (RFC 9110 §15, and the IANA registry of status codes).
package enum HTTPReason {
  private static var rows: TextTable {
    TextTable(
      """
      200\0OK\0201\0Created\0202\0Accepted\0204\0No Content\0205\0Reset Content\0206\0Partial Content\0\
      300\0Multiple Choices\0301\0Moved Permanently\0302\0Found\0303\0See Other\0304\0Not Modified\0\
      307\0Temporary Redirect\0308\0Permanent Redirect\0\
      400\0Bad Request\0401\0Unauthorized\0402\0Payment Required\0403\0Forbidden\0404\0Not Found\0\
      405\0Method Not Allowed\0406\0Not Acceptable\0408\0Request Timeout\0409\0Conflict\0410\0Gone\0\
      411\0Length Required\0412\0Precondition Failed\0413\0Content Too Large\0414\0URI Too Long\0\
      415\0Unsupported Media Type\0416\0Range Not Satisfiable\0417\0Expectation Failed\0\
      421\0Misdirected Request\0422\0Unprocessable Content\0425\0Too Early\0426\0Upgrade Required\0\
      428\0Precondition Required\0429\0Too Many Requests\0431\0Request Header Fields Too Large\0\
      451\0Unavailable For Legal Reasons\0500\0Internal Server Error\0501\0Not Implemented\0\
      502\0Bad Gateway\0503\0Service Unavailable\0504\0Gateway Timeout\0\
      505\0HTTP Version Not Supported\0507\0Insufficient Storage\0
      """, rows: 45, columns: 2)
  }

  /// Empty for a status without one.
  @inline(never) package static func text(_ status: Int) -> Literal {
    var rows = rows.rows
    while rows.next() != nil {
      let digits = rows.text(0)
      if HTTPText.decimal(Array(digits.bytes)[...], limit: 999) == status { return rows.text(1) }
    }
    return ""
  }
}
