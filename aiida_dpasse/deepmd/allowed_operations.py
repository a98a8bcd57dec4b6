"""Operations of the frozen models of DeePMD-kit: a file that asks for another one is refused.

The lists were taken from models that DeePMD-kit 3.0, 3.1 and 3.2 wrote with every descriptor that it has, their
options, and their compressed forms (`tests/hostile/test_models.py` makes some of them). None of these operations reads
or writes a file, opens a connection or starts a program. Add what a later release needs, after a look at what it does.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- TensorFlow ------------------------------------------------------------------------------------------------------

#: Operations of the nodes of a graph: TensorFlow's, which compute numbers from numbers, and DeePMD-kit's own.
GRAPH = _names("""
    Add AddN AddV2 BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd BiasAddGrad BroadcastArgs BroadcastGradientArgs
    BroadcastTo Cast Ceil ClipByValue Concat ConcatOffset ConcatV2 Const Cumsum Diag DiagPart Div DivNoNan DynamicStitch
    Einsum Elu EluGrad Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod Gather GatherNd GatherV2 Greater
    GreaterEqual Identity IdentityN Inv InvGrad InvertPermutation L2Loss LeakyRelu LeakyReluGrad Less LessEqual LinSpace
    Log Log1p LogicalAnd LogicalNot LogicalOr MatMul MatrixDiag MatrixDiagPart MatrixTranspose Max Maximum Mean Min
    Minimum Mod Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault Pow
    PreventGradient Prod Range Rank RealDiv Reciprocal ReciprocalGrad Relu Relu6 Relu6Grad ReluGrad Reshape ReverseV2
    Rint Round Rsqrt RsqrtGrad ScatterNd Select SelectV2 Selu SeluGrad Shape ShapeN Sigmoid SigmoidGrad Sign Size Slice
    Snapshot Softmax Softplus SoftplusGrad Split SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze StopGradient
    StridedSlice StridedSliceGrad Sub Sum Tanh TanhGrad TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv
    Unpack UnsortedSegmentSum Where Xdivy Xlogy ZerosLike
""") | _names("""
    Descrpt DescrptNorot DescrptSeA DescrptSeAEf DescrptSeAEfPara DescrptSeAEfVert DescrptSeAMask DescrptSeR GeluCustom
    GeluGradCustom GeluGradGradCustom Gelu GeluGrad GeluGradGrad PairTab ParallelProdForceSeA ProdEnvMatA ProdEnvMatAMix
    ProdEnvMatR ProdForce ProdForceNorot ProdForceSeA ProdForceSeAMask ProdForceSeR ProdVirial ProdVirialNorot
    ProdVirialSeA ProdVirialSeR SoftMinForce SoftMinSwitch SoftMinVirial TabulateFusion TabulateFusionGrad
    TabulateFusionGradGrad TabulateFusionSeA TabulateFusionSeAGrad TabulateFusionSeAGradGrad TabulateFusionSeAtten
    TabulateFusionSeAttenGrad TabulateFusionSeAttenGradGrad TabulateFusionSeR TabulateFusionSeRGrad
    TabulateFusionSeRGradGrad TabulateFusionSeT TabulateFusionSeTGrad TabulateFusionSeTGradGrad UnaggregatedDy2Dx
    UnaggregatedDy2DxS UnaggregatedDyDx UnaggregatedDyDxS
""")

# -- TorchScript -----------------------------------------------------------------------------------------------------

#: Functions of `torch`.
TORCH = _names("""
    __and__ __contains__ __derive_index __is__ __isnot__ __not__ __or__ __range_length _set_item _unique2 abs add
    add_ amax any append arange argsort as_tensor autograd.grad bincount bitwise_not bmm cat ceil chunk clamp
    clamp_min clamp_min_ clear clone concat contiguous copy_ cpu cross detach device diagonal dim div div_ einsum
    embedding empty eq equal exp expand expand_as eye floordiv format full full_like gather ge gelu gt index
    index_add_ index_put_ index_select is_grad_enabled item items keys le len linalg_det linalg_inv_ex linalg_norm
    linear list logical_or lower lt masked_fill matmul max mean min mul mul_ ne neg new_ones new_zeros nonzero norm
    numel numpy_T ones ones_like pad permute pop pow ravel reciprocal relu relu6 relu6_ relu_ remainder
    requires_grad_ reshape rsqrt scatter_reduce searchsorted select set_grad_enabled sigmoid silu silu_ size slice
    softmax softplus sort split sqrt square squeeze stack startswith sub sub_ sum t tanh tensor tile to topk
    transpose type_as unbind unique_dim unsqueeze update values var_mean view warn where zeros zeros_like
""")
#: Functions of `ops`: PyTorch's own of the name `prim`, and DeePMD-kit's.
OPS = _names("""
    deepmd.border_op deepmd.tabulate_fusion_se_a deepmd.tabulate_fusion_se_atten deepmd.tabulate_fusion_se_r
    deepmd.tabulate_fusion_se_t deepmd.tabulate_fusion_se_t_tebd prim.RaiseException prim.device prim.dtype prim.max
    prim.min prim.requires_grad
""")
#: Methods of the classes of DeePMD-kit and of PyTorch's modules. A method of a text or tensor can be any function of
#: `torch`, so that these are a closed list as well.
METHODS = _names("""
    __dim_emb_getter __dim_in_getter __dim_out_getter __enter__ __exit__ __getitem__ __init__ __len__
    __observed_type_getter __size_getter _apply_nlist_mask _apply_switch _build_moment_basis _cal_grrg _cal_hg
    _cal_hg_dynamic _calculate_ener _compute_angle_update _compute_angular_radial _compute_edge_angle_reduction
    _compute_edge_self_update _compute_node_edge_message _compute_node_sym _compute_weight _extend_f_avg_std
    _extract_spline_coefficient _fetch_out_stat _format_nlist _forward_common _forward_sequential _get_bias_index
    _get_pairwise_dist _get_softmax_dim _input_type_cast _make_env_mat _make_nei_g1 _net_out_dim _output_type_cast
    _pair_tabulated_inter _prepare_angle_embeddings _return_output _safe_direction _sort_rcuts_sels
    _trim_mask_distinguish_nlist _unique_impl _update_g1_conv _update_g2_g1g1 _update_h2 _varsize aggregate
    apply_operation apply_out_stat atomic_output_def atomic_virial_corr b_to_face_distance border_op
    build_multiple_neighbor_list build_neighbor_list call_until_last check_operation_applied
    communicate_extended_output compute_exp_sw compute_smooth_weight concat_switch_virtual do_derivative do_grad_
    do_grad_c do_grad_r do_mask do_reduce eval_descriptor eval_fitting_last_layer extend_coord_with_ghosts
    extend_input_and_build_neighbor_list fit_output_to_model_output fitting_output_def format_nlist forward
    forward_atomic forward_common forward_common_atomic forward_common_lower forward_embedding forward_lower
    get_data get_default_chg_spin get_default_fparam get_deriv_name get_deriv_name_mag get_dim_aparam
    get_dim_chg_spin get_dim_emb get_dim_fparam get_dim_out get_fitting_net get_full_embedding get_graph_index
    get_leading_dims get_min_nbor_dist get_model_def_script get_model_nsels get_model_rcuts get_model_sels
    get_multiple_nlist_key get_nnei get_nsel get_ntypes get_observed_type_list get_out_bias get_rcut get_reduce_name
    get_sel get_sel_type get_task_dim get_type_map has_chg_spin_ebd has_default_chg_spin has_default_fparam
    has_embedding has_message_passing input_type_cast inter2phys is_aparam_nall keys keys_derv_c keys_derv_c_redu
    keys_derv_r keys_hess_r keys_outp keys_redu list_update list_update_res_avg list_update_res_incr
    list_update_res_residual make_atom_mask mixed_types model_output_def model_output_type
    need_sorted_nlist_for_lower nlist_distinguish_types normalize normalize_coord optim_angle_update
    optim_angle_update_dynamic optim_edge_update optim_edge_update_dynamic output_def output_type_cast pad
    phys2inter prod_env_mat relu relu6 safe_for_norm set_eval_descriptor_hook set_eval_fitting_last_layer_hook
    set_return_middle_output silu softmax squeeze symmetrization_op symmetrization_op_dynamic tabulate_fusion_se_a
    tabulate_fusion_se_atten tabulate_fusion_se_r tabulate_fusion_se_t take_deriv task_deriv_one to_face_distance
    tolist
""")
#: Functions of the language.
BUILTINS = _names('annotate bool float getattr int isinstance range str unchecked_cast uninitialized')
#: Parts of its syntax, by the names of Python's module `ast`.
SYNTAX = _names("""
    AnnAssign Assign Attribute Call ClassDef Constant Dict Expr For FunctionDef If List Load Module Name Pass Return
    Store Subscript Tuple USub UnaryOp While With arg arguments keyword withitem
""")
