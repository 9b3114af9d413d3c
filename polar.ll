; fk_53fad6d1ce22 for znver5, 64 bytes in a register, 32 elements in a step

%fk_53fad6d1ce22.frame = type { i32, i64, ptr, ptr, ptr, ptr, ptr }

declare i32 @omp_in_parallel()
declare i32 @omp_get_max_threads()
declare i32 @omp_get_num_threads()
declare i32 @omp_get_thread_num()
declare void @GOMP_parallel(ptr, ptr, i32, i32)

define internal <32 x float> @cos_f32(<32 x float> %n0) alwaysinline {
  %n1 = fpext <32 x float> %n0 to <32 x double>
  %n2 = call <32 x float> @llvm.fabs.v32f32(<32 x float> %n0)
  %n6 = fcmp oge <32 x float> %n2, splat (float 1125899906842624.0)
  %n8 = select <32 x i1> %n6, <32 x double> splat (double -4.119769120791653e-09), <32 x double> splat (double 0.6366197723675814)
  %n10 = select <32 x i1> %n6, <32 x double> splat (double 2.8376220177865265e-25), <32 x double> splat (double -3.935735335036497e-17)
  %n12 = fcmp oge <32 x float> %n2, splat (float 1.5111572745182865e+23)
  %n14 = select <32 x i1> %n12, <32 x double> splat (double 7.166494911215068e-17), <32 x double> %n8
  %n16 = select <32 x i1> %n12, <32 x double> splat (double -2.1442872565786008e-33), <32 x double> %n10
  %n18 = fcmp oge <32 x float> %n2, splat (float 5.070602400912918e+30)
  %n20 = select <32 x i1> %n18, <32 x double> splat (double -5.434184107743751e-25), <32 x double> %n14
  %n22 = select <32 x i1> %n18, <32 x double> splat (double 3.8858987075186823e-41), <32 x double> %n16
  %n23 = fmul <32 x double> %n1, %n20
  %n24 = fneg <32 x double> %n23
  %n25 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n1, <32 x double> %n20, <32 x double> %n24)
  %n27 = fadd <32 x double> %n23, splat (double 6755399441055744.0)
  %n28 = fsub <32 x double> %n27, splat (double 6755399441055744.0)
  %n29 = fsub <32 x double> %n23, %n28
  %n30 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n1, <32 x double> %n22, <32 x double> %n25)
  %n31 = fadd <32 x double> %n29, %n30
  %n32 = bitcast <32 x double> %n27 to <32 x i64>
  %n33 = trunc <32 x i64> %n32 to <32 x i32>
  %n35 = add <32 x i32> %n33, splat (i32 1)
  %n36 = fmul <32 x double> %n31, %n31
  %n42 = call <32 x double> @llvm.fma.v32f64(<32 x double> splat (double 0.00015693422686062527), <32 x double> %n36, <32 x double> splat (double -0.004680547089931176))
  %n43 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n42, <32 x double> %n36, <32 x double> splat (double 0.07969245580065486))
  %n44 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n43, <32 x double> %n36, <32 x double> splat (double -0.6459640890301184))
  %n45 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n44, <32 x double> %n36, <32 x double> splat (double 1.5707963267267757))
  %n46 = fmul <32 x double> %n31, %n45
  %n52 = call <32 x double> @llvm.fma.v32f64(<32 x double> splat (double 0.0008948832261571356), <32 x double> %n36, <32 x double> splat (double -0.02085522441234477))
  %n53 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n52, <32 x double> %n36, <32 x double> splat (double 0.2536683910615818))
  %n54 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n53, <32 x double> %n36, <32 x double> splat (double -1.2337005022852916))
  %n55 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n54, <32 x double> %n36, <32 x double> splat (double 1.0))
  %n56 = and <32 x i32> %n35, splat (i32 1)
  %n58 = icmp ne <32 x i32> %n56, splat (i32 0)
  %n59 = select <32 x i1> %n58, <32 x double> %n55, <32 x double> %n46
  %n60 = fptrunc <32 x double> %n59 to <32 x float>
  %n62 = and <32 x i32> %n35, splat (i32 2)
  ; n64: shl
  %n64.fits = icmp ule <32 x i32> splat (i32 30), splat (i32 31)
  %n64.shifted = shl <32 x i32> %n62, splat (i32 30)
  %n64 = select <32 x i1> %n64.fits, <32 x i32> %n64.shifted, <32 x i32> zeroinitializer
  %n65 = bitcast <32 x float> %n60 to <32 x i32>
  %n66 = xor <32 x i32> %n65, %n64
  %n67 = bitcast <32 x i32> %n66 to <32 x float>
  ret <32 x float> %n67
}

define internal <32 x float> @sin_f32(<32 x float> %n0) alwaysinline {
  %n1 = fpext <32 x float> %n0 to <32 x double>
  %n2 = call <32 x float> @llvm.fabs.v32f32(<32 x float> %n0)
  %n6 = fcmp oge <32 x float> %n2, splat (float 1125899906842624.0)
  %n8 = select <32 x i1> %n6, <32 x double> splat (double -4.119769120791653e-09), <32 x double> splat (double 0.6366197723675814)
  %n10 = select <32 x i1> %n6, <32 x double> splat (double 2.8376220177865265e-25), <32 x double> splat (double -3.935735335036497e-17)
  %n12 = fcmp oge <32 x float> %n2, splat (float 1.5111572745182865e+23)
  %n14 = select <32 x i1> %n12, <32 x double> splat (double 7.166494911215068e-17), <32 x double> %n8
  %n16 = select <32 x i1> %n12, <32 x double> splat (double -2.1442872565786008e-33), <32 x double> %n10
  %n18 = fcmp oge <32 x float> %n2, splat (float 5.070602400912918e+30)
  %n20 = select <32 x i1> %n18, <32 x double> splat (double -5.434184107743751e-25), <32 x double> %n14
  %n22 = select <32 x i1> %n18, <32 x double> splat (double 3.8858987075186823e-41), <32 x double> %n16
  %n23 = fmul <32 x double> %n1, %n20
  %n24 = fneg <32 x double> %n23
  %n25 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n1, <32 x double> %n20, <32 x double> %n24)
  %n27 = fadd <32 x double> %n23, splat (double 6755399441055744.0)
  %n28 = fsub <32 x double> %n27, splat (double 6755399441055744.0)
  %n29 = fsub <32 x double> %n23, %n28
  %n30 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n1, <32 x double> %n22, <32 x double> %n25)
  %n31 = fadd <32 x double> %n29, %n30
  %n32 = bitcast <32 x double> %n27 to <32 x i64>
  %n33 = trunc <32 x i64> %n32 to <32 x i32>
  %n35 = fcmp oeq <32 x float> %n0, splat (float 0.0)
  %n36 = fmul <32 x double> %n31, %n31
  %n42 = call <32 x double> @llvm.fma.v32f64(<32 x double> splat (double 0.00015693422686062527), <32 x double> %n36, <32 x double> splat (double -0.004680547089931176))
  %n43 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n42, <32 x double> %n36, <32 x double> splat (double 0.07969245580065486))
  %n44 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n43, <32 x double> %n36, <32 x double> splat (double -0.6459640890301184))
  %n45 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n44, <32 x double> %n36, <32 x double> splat (double 1.5707963267267757))
  %n46 = fmul <32 x double> %n31, %n45
  %n52 = call <32 x double> @llvm.fma.v32f64(<32 x double> splat (double 0.0008948832261571356), <32 x double> %n36, <32 x double> splat (double -0.02085522441234477))
  %n53 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n52, <32 x double> %n36, <32 x double> splat (double 0.2536683910615818))
  %n54 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n53, <32 x double> %n36, <32 x double> splat (double -1.2337005022852916))
  %n55 = call <32 x double> @llvm.fma.v32f64(<32 x double> %n54, <32 x double> %n36, <32 x double> splat (double 1.0))
  %n57 = and <32 x i32> %n33, splat (i32 1)
  %n59 = icmp ne <32 x i32> %n57, splat (i32 0)
  %n60 = select <32 x i1> %n59, <32 x double> %n55, <32 x double> %n46
  %n61 = fptrunc <32 x double> %n60 to <32 x float>
  %n63 = and <32 x i32> %n33, splat (i32 2)
  ; n65: shl
  %n65.fits = icmp ule <32 x i32> splat (i32 30), splat (i32 31)
  %n65.shifted = shl <32 x i32> %n63, splat (i32 30)
  %n65 = select <32 x i1> %n65.fits, <32 x i32> %n65.shifted, <32 x i32> zeroinitializer
  %n66 = bitcast <32 x float> %n61 to <32 x i32>
  %n67 = xor <32 x i32> %n66, %n65
  %n68 = bitcast <32 x i32> %n67 to <32 x float>
  %n69 = select <32 x i1> %n35, <32 x float> %n0, <32 x float> %n68
  ret <32 x float> %n69
}

; the elements [first, last)
define internal i32 @fk_53fad6d1ce22.range(ptr %layout, ptr %in0, ptr %in1, ptr %out0, ptr %out1, i64 %first, i64 %last) {
entry:
  %extent0.at = getelementptr i64, ptr %layout, i64 0
  %extent0 = load i64, ptr %extent0.at, align 8
  %in0.pack = alloca <32 x float>, align 64
  %in1.pack = alloca <32 x float>, align 64
  %out0.pack = alloca <32 x float>, align 64
  %out1.pack = alloca <32 x float>, align 64
  store <32 x float> zeroinitializer, ptr %in0.pack, align 64
  store <32 x float> zeroinitializer, ptr %in1.pack, align 64
  %large = icmp uge i64 %extent0, 6291456
  br label %step

step:
  %col = phi i64 [ %first, %entry ], [ %col.next, %onward ]
  %left = sub i64 %last, %col
  %whole = icmp uge i64 %left, 32
  br i1 %whole, label %direct, label %pack

direct:
  %in0.direct = getelementptr float, ptr %in0, i64 %col
  %in1.direct = getelementptr float, ptr %in1, i64 %col
  %out0.direct = getelementptr float, ptr %out0, i64 %col
  %out1.direct = getelementptr float, ptr %out1, i64 %col
  br label %body

pack:
  br label %fill

fill:
  %fill.mask.idle = sub i64 32, %left
  %fill.mask.idle.word = trunc i64 %fill.mask.idle to i32
  %fill.mask.word = lshr i32 -1, %fill.mask.idle.word
  %fill.mask = bitcast i32 %fill.mask.word to <32 x i1>
  %in0.fill = getelementptr float, ptr %in0, i64 %col
  %in0.fill.slot = getelementptr float, ptr %in0.pack, i64 0
  %in0.fill.some = call <32 x float> @llvm.masked.load.v32f32.p0(ptr %in0.fill, i32 4, <32 x i1> %fill.mask, <32 x float> zeroinitializer)
  store <32 x float> %in0.fill.some, ptr %in0.fill.slot, align 4
  %in1.fill = getelementptr float, ptr %in1, i64 %col
  %in1.fill.slot = getelementptr float, ptr %in1.pack, i64 0
  %in1.fill.some = call <32 x float> @llvm.masked.load.v32f32.p0(ptr %in1.fill, i32 4, <32 x i1> %fill.mask, <32 x float> zeroinitializer)
  store <32 x float> %in1.fill.some, ptr %in1.fill.slot, align 4
  br label %fill.end

fill.end:
  br label %body

body:
  %in0.here = phi ptr [ %in0.direct, %direct ], [ %in0.pack, %fill.end ]
  %in1.here = phi ptr [ %in1.direct, %direct ], [ %in1.pack, %fill.end ]
  %out0.here = phi ptr [ %out0.direct, %direct ], [ %out0.pack, %fill.end ]
  %out1.here = phi ptr [ %out1.direct, %direct ], [ %out1.pack, %fill.end ]
  %n0 = load <32 x float>, ptr %in0.here, align 4
  %n1 = load <32 x float>, ptr %in1.here, align 4
  %n2 = call <32 x float> @cos_f32(<32 x float> %n0)
  %n3 = fmul <32 x float> %n1, %n2
  %n4 = call <32 x float> @sin_f32(<32 x float> %n0)
  %n5 = fmul <32 x float> %n1, %n4
  %out0.at = ptrtoint ptr %out0.here to i64
  %out0.within = and i64 %out0.at, 63
  %out0.lined = icmp eq i64 %out0.within, 0
  %out0.may = and i1 %out0.lined, %whole
  %out0.streams = and i1 %out0.may, %large
  br i1 %out0.streams, label %out0.stream, label %out0.keep
out0.stream:
  store <32 x float> %n3, ptr %out0.here, align 64, !nontemporal !0
  br label %out0.stored
out0.keep:
  store <32 x float> %n3, ptr %out0.here, align 4
  br label %out0.stored
out0.stored:
  %out1.at = ptrtoint ptr %out1.here to i64
  %out1.within = and i64 %out1.at, 63
  %out1.lined = icmp eq i64 %out1.within, 0
  %out1.may = and i1 %out1.lined, %whole
  %out1.streams = and i1 %out1.may, %large
  br i1 %out1.streams, label %out1.stream, label %out1.keep
out1.stream:
  store <32 x float> %n5, ptr %out1.here, align 64, !nontemporal !0
  br label %out1.stored
out1.keep:
  store <32 x float> %n5, ptr %out1.here, align 4
  br label %out1.stored
out1.stored:
  br i1 %whole, label %onward, label %unpack

onward:
  %col.next = add i64 %col, 32
  %more = icmp ult i64 %col.next, %last
  br i1 %more, label %step, label %done

unpack:
  %unpack.mask.idle = sub i64 32, %left
  %unpack.mask.idle.word = trunc i64 %unpack.mask.idle to i32
  %unpack.mask.word = lshr i32 -1, %unpack.mask.idle.word
  %unpack.mask = bitcast i32 %unpack.mask.word to <32 x i1>
  %out0.unpack = getelementptr float, ptr %out0, i64 %col
  %out0.unpack.slot = getelementptr float, ptr %out0.pack, i64 0
  %out0.unpack.some = load <32 x float>, ptr %out0.unpack.slot, align 4
  call void @llvm.masked.store.v32f32.p0(<32 x float> %out0.unpack.some, ptr %out0.unpack, i32 4, <32 x i1> %unpack.mask)
  %out1.unpack = getelementptr float, ptr %out1, i64 %col
  %out1.unpack.slot = getelementptr float, ptr %out1.pack, i64 0
  %out1.unpack.some = load <32 x float>, ptr %out1.unpack.slot, align 4
  call void @llvm.masked.store.v32f32.p0(<32 x float> %out1.unpack.some, ptr %out1.unpack, i32 4, <32 x i1> %unpack.mask)
  br label %unpack.end

unpack.end:
  br label %done

done:
  br i1 %large, label %drain, label %drained
drain:
  fence seq_cst
  br label %drained
drained:
  ret i32 0
}

define i32 @fk_53fad6d1ce22(ptr %layout, ptr %in0, ptr %in1, ptr %out0, ptr %out1) noinline optnone {
entry:
  %frame = alloca %fk_53fad6d1ce22.frame
  %extent0.at = getelementptr i64, ptr %layout, i64 0
  %extent0 = load i64, ptr %extent0.at, align 8
  %total = add i64 %extent0, 0
  %empty = icmp eq i64 %total, 0
  br i1 %empty, label %nothing, label %something

nothing:
  ret i32 0

something:
  %large = icmp ugt i64 %total, 22222
  br i1 %large, label %many, label %alone

alone:
  %answer = call i32 @fk_53fad6d1ce22.range(ptr %layout, ptr %in0, ptr %in1, ptr %out0, ptr %out1, i64 0, i64 %total)
  ret i32 %answer

many:
  %available = call i32 @omp_get_max_threads()
  %inside = call i32 @omp_in_parallel()
  %outside = icmp eq i32 %inside, 0
  %several = icmp sgt i32 %available, 1
  %together = and i1 %outside, %several
  br i1 %together, label %team, label %alone

team:
  %trapped.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 0
  store i32 0, ptr %trapped.field
  %total.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 1
  store i64 %total, ptr %total.field
  %layout.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 2
  store ptr %layout, ptr %layout.field
  %in0.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 3
  store ptr %in0, ptr %in0.field
  %in1.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 4
  store ptr %in1, ptr %in1.field
  %out0.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 5
  store ptr %out0, ptr %out0.field
  %out1.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 6
  store ptr %out1, ptr %out1.field
  %worth = udiv i64 %total, 22222
  %useful = add i64 %worth, 1
  %most = zext i32 %available to i64
  %size = call i64 @llvm.umin.i64(i64 %useful, i64 %most)
  %threads = trunc i64 %size to i32
  call void @GOMP_parallel(ptr @fk_53fad6d1ce22.thread, ptr %frame, i32 %threads, i32 0)
  %trapped = load i32, ptr %trapped.field
  ret i32 %trapped
}

; one thread's share
define internal void @fk_53fad6d1ce22.thread(ptr %frame) noinline optnone {
entry:
  %trapped.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 0
  %total.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 1
  %total = load i64, ptr %total.field
  %layout.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 2
  %layout = load ptr, ptr %layout.field
  %in0.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 3
  %in0 = load ptr, ptr %in0.field
  %in1.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 4
  %in1 = load ptr, ptr %in1.field
  %out0.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 5
  %out0 = load ptr, ptr %out0.field
  %out1.field = getelementptr %fk_53fad6d1ce22.frame, ptr %frame, i32 0, i32 6
  %out1 = load ptr, ptr %out1.field
  %team.i32 = call i32 @omp_get_num_threads()
  %number.i32 = call i32 @omp_get_thread_num()
  %team = zext i32 %team.i32 to i64
  %number = zext i32 %number.i32 to i64
  %unit = mul i64 %team, 32
  %padded = add i64 %total, %unit
  %above = sub i64 %padded, 1
  %vectors = udiv i64 %above, %unit
  %share = mul i64 %vectors, 32
  %begin = mul i64 %number, %share
  %full = add i64 %begin, %share
  %end = call i64 @llvm.umin.i64(i64 %full, i64 %total)
  %some = icmp ult i64 %begin, %end
  br i1 %some, label %work, label %done

work:
  %answer = call i32 @fk_53fad6d1ce22.range(ptr %layout, ptr %in0, ptr %in1, ptr %out0, ptr %out1, i64 %begin, i64 %end)
  %bad = icmp ne i32 %answer, 0
  br i1 %bad, label %trap, label %done

trap:
  store atomic i32 1, ptr %trapped.field monotonic, align 4
  br label %done

done:
  ret void
}

!0 = !{i32 1}
