use super::*;

#[test]
fn tcp_flags_and_numbers() {
    let line = |flags: u8, payload: usize, rest: &'static str| (tcp(flags, "", payload), rest);
    check_tcp(&[
        line(0x10, 0, "Flags [.], ack 200, win 500, length 0"),
        line(
            0x18,
            3,
            "Flags [P.], seq 4294967294:1, ack 200, win 500, length 3",
        ),
        line(0x02, 0, "Flags [S], seq 4294967294, win 500, length 0"),
        line(0x04, 0, "Flags [R], seq 4294967294, win 500, length 0"),
        line(0x00, 0, "Flags [none], win 500, length 0"),
        line(
            0xff,
            0,
            "Flags [FSRP.UEW], seq 4294967294, ack 200, win 500, urg 7, length 0",
        ),
    ]);
}

#[test]
fn tcp_options() {
    let line = |options: &str, rest: &'static str| (tcp(0x10, options, 0), rest);
    check_tcp(&[
        line(
            "020405b4 0402 080a0000138b00000000 01 030307",
            "Flags [.], ack 200, win 500, options [mss 1460,sackOK,TS val 5003 ecr 0,nop,wscale 7], length 0",
        ),
        line(
            "0101 0512 00000005 00000009 0000000b 0000000c",
            "Flags [.], ack 200, win 500, options [nop,nop,sack 2 {5:9}{11:12}], length 0",
        ),
        line(
            "00000000",
            "Flags [.], ack 200, win 500, options [eol], length 0",
        ),
        line(
            "2202 0101",
            "Flags [.], ack 200, win 500, options [tfo cookiereq,nop,nop], length 0",
        ),
        line(
            "63040102",
            "Flags [.], ack 200, win 500, options [unknown-99 0x0102], length 0",
        ),
        line(
            "02010101",
            "Flags [.], ack 200, win 500, options [[bad opt]], length 0",
        ),
        line(
            "08090000",
            "Flags [.], ack 200, win 500, options [[bad opt]], length 0",
        ),
        line(
            "01010108",
            "Flags [.], ack 200, win 500, options [nop,nop,nop,[bad opt]], length 0",
        ),
    ]);
}

#[test]
fn tcp_headers_of_wrong_length() {
    let with_offset = |offset: u8| {
        let mut packet = tcp(0x10, "", 0);
        packet[14 + 20 + 12] = offset << 4;
        packet
    };
    check_tcp(&[
        (
            with_offset(4),
            "tcp 4 [bad hdr length 16 - too short, < 20]",
        ),
        (
            with_offset(15),
            "Flags [.] [bad hdr length 60 - too long, > 20]",
        ),
    ]);
}

fn check_tcp(table: &[(Vec<u8>, &str)]) {
    for (packet, rest) in table {
        let expected = format!("IP 192.0.2.1.1111 > 192.0.2.2.2222: {rest}");
        assert_eq!(line(LinkType::ETHERNET, packet, packet.len()), expected);
    }
}
