// A small machine with the control registers and ports of a generated accelerator, to develop and test the bench with.
//
// It copies PROGRAM_COUNT bus words from PROGRAM_ADDRESS to PROGRAM_ADDRESS + 0x1000, every bit inverted, in bursts of
// up to 8 words: engine 0 (`load`) reads a burst, then engine 1 (`store`) writes it. PROGRAM_COUNT = 0 hangs; a wrong
// PROGRAM_FINGERPRINT is refused (error 1); an error response stops it (error 7 and the burst's address).
module top (
    input clk, input rst,
    input s_axil_awvalid, output s_axil_awready, input [7:0] s_axil_awaddr, input [2:0] s_axil_awprot,
    input s_axil_wvalid, output s_axil_wready, input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb,
    output reg s_axil_bvalid, input s_axil_bready, output [1:0] s_axil_bresp,
    input s_axil_arvalid, output s_axil_arready, input [7:0] s_axil_araddr, input [2:0] s_axil_arprot,
    output reg s_axil_rvalid, input s_axil_rready, output reg [31:0] s_axil_rdata, output [1:0] s_axil_rresp,
    output m_axi_load_arvalid, input m_axi_load_arready, output [31:0] m_axi_load_araddr, output [7:0] m_axi_load_arlen,
    output [2:0] m_axi_load_arsize, output [1:0] m_axi_load_arburst,
    input m_axi_load_rvalid, output m_axi_load_rready, input [63:0] m_axi_load_rdata, input [1:0] m_axi_load_rresp, input m_axi_load_rlast,
    output m_axi_store_awvalid, input m_axi_store_awready, output [31:0] m_axi_store_awaddr, output [7:0] m_axi_store_awlen,
    output [2:0] m_axi_store_awsize, output [1:0] m_axi_store_awburst,
    output m_axi_store_wvalid, input m_axi_store_wready, output [63:0] m_axi_store_wdata, output [7:0] m_axi_store_wstrb,
    output m_axi_store_wlast, input m_axi_store_bvalid, output m_axi_store_bready, input [1:0] m_axi_store_bresp,
    output irq, output reg running,
    output [1:0] trace_start, output [1:0] trace_retire, output trace_dispatch, output trace_dispatch_engine
);
    localparam [63:0] FINGERPRINT = 64'h0123456789abcdef;
    localparam READ_ADDRESS = 0, READ_DATA = 1, WRITE = 2, ANSWER = 3;

    reg [63:0] address, fingerprint, cycles;
    reg [31:0] count, left, base, burst_address, error_address, retired0, retired1;
    reg irq_enable, done, error;
    reg [7:0] error_code, error_engine;
    reg [1:0] state;
    reg [3:0] beat;
    reg [63:0] buffer [0:7];
    wire [3:0] beats = left > 8 ? 4'd8 : left[3:0];
    wire hang = count == 0;

    assign irq = irq_enable && done;
    assign m_axi_load_arvalid = running && state == READ_ADDRESS && !hang;
    assign m_axi_load_araddr = burst_address;
    assign m_axi_load_arlen = {4'd0, beats} - 8'd1;
    assign m_axi_load_arsize = 3;
    assign m_axi_load_arburst = 1;
    assign m_axi_load_rready = 1;
    assign m_axi_store_awvalid = running && state == WRITE && beat == 0;
    assign m_axi_store_awaddr = burst_address + 32'h1000;
    assign m_axi_store_awlen = {4'd0, beats} - 8'd1;
    assign m_axi_store_awsize = 3;
    assign m_axi_store_awburst = 1;
    assign m_axi_store_wvalid = running && state == WRITE;
    assign m_axi_store_wdata = ~buffer[beat[2:0]];
    assign m_axi_store_wstrb = 8'hff;
    assign m_axi_store_wlast = beat == beats - 1;
    assign m_axi_store_bready = 1;
    assign trace_dispatch = m_axi_load_arvalid;
    assign trace_dispatch_engine = 0;
    assign trace_start = {m_axi_store_awvalid, m_axi_load_arvalid};
    assign trace_retire = {running && m_axi_store_bvalid, running && m_axi_load_rvalid && m_axi_load_rlast};

    // AXI4-Lite: a write needs address and data together, one transaction at a time.
    wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    wire read = s_axil_arvalid && !s_axil_rvalid;
    wire start = write && s_axil_awaddr == 8'h10 && s_axil_wdata[0];
    assign s_axil_awready = write;
    assign s_axil_wready = write;
    assign s_axil_arready = !s_axil_rvalid;
    assign s_axil_bresp = 0;
    assign s_axil_rresp = 0;

    always @(posedge clk) begin
        if (s_axil_bready) s_axil_bvalid <= 0;
        if (s_axil_rready) s_axil_rvalid <= 0;
        if (write) begin
            s_axil_bvalid <= 1;
            case (s_axil_awaddr)
                8'h10: begin
                    irq_enable <= s_axil_wdata[2];
                    if (s_axil_wdata[1]) begin error <= 0; error_code <= 0; done <= 0; running <= 0; end
                end
                8'h24: address[31:0] <= s_axil_wdata;
                8'h28: address[63:32] <= s_axil_wdata;
                8'h2c: count <= s_axil_wdata;
                8'h30: fingerprint[31:0] <= s_axil_wdata;
                8'h34: fingerprint[63:32] <= s_axil_wdata;
            endcase
        end
        if (read) begin
            s_axil_rvalid <= 1;
            case (s_axil_araddr)
                8'h08: s_axil_rdata <= FINGERPRINT[31:0];
                8'h0c: s_axil_rdata <= FINGERPRINT[63:32];
                8'h14: s_axil_rdata <= {28'd0, !running, error, done, running};
                8'h18: s_axil_rdata <= {24'd0, error_code};
                8'h1c: s_axil_rdata <= {24'd0, error_engine};
                8'h20: s_axil_rdata <= error_address;
                8'h3c: s_axil_rdata <= cycles[31:0];
                8'h40: s_axil_rdata <= cycles[63:32];
                8'h44: s_axil_rdata <= retired0;
                8'h48: s_axil_rdata <= retired1;
                default: s_axil_rdata <= 0;
            endcase
        end

        if (running) cycles <= cycles + 1;
        if (start) begin
            done <= 0;
            cycles <= 0;
            retired0 <= 0;
            retired1 <= 0;
            left <= count;
            burst_address <= address[31:0];
            state <= READ_ADDRESS;
            if (fingerprint == FINGERPRINT) running <= 1;
            else begin error <= 1; error_code <= 1; error_engine <= 255; done <= 1; end
        end else if (running) case (state)
            READ_ADDRESS: begin beat <= 0; if (!hang) state <= READ_DATA; end
            READ_DATA: if (m_axi_load_rvalid) begin
                buffer[beat[2:0]] <= m_axi_load_rdata;
                beat <= beat + 1;
                if (m_axi_load_rresp != 0) begin error <= 1; error_code <= 7; error_engine <= 0; error_address <= burst_address; end
                if (m_axi_load_rlast) begin
                    state <= WRITE; beat <= 0; retired0 <= retired0 + 1;
                    if (error || m_axi_load_rresp != 0) begin running <= 0; done <= 1; end
                end
            end
            WRITE: begin beat <= beat + 1; if (m_axi_store_wlast) state <= ANSWER; end
            ANSWER: if (m_axi_store_bvalid) begin
                retired1 <= retired1 + 1;
                state <= READ_ADDRESS;
                left <= left - {28'd0, beats};
                burst_address <= burst_address + 64;
                if (m_axi_store_bresp != 0) begin error <= 1; error_code <= 7; error_engine <= 1; error_address <= burst_address + 32'h1000; end
                if (left <= 8 || m_axi_store_bresp != 0) begin running <= 0; done <= 1; end
            end
        endcase

        if (rst) begin
            running <= 0; done <= 0; error <= 0; error_code <= 0; irq_enable <= 0; s_axil_bvalid <= 0; s_axil_rvalid <= 0;
            address <= 0; fingerprint <= 0; count <= 0; cycles <= 0; state <= READ_ADDRESS; beat <= 0;
        end
    end
endmodule
